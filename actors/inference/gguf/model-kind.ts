import type { GgufHeader } from './header.ts'

export type GgufKind = 'chat' | 'embedding' | 'rerank'

/** llama.cpp's ways to make one vector of those of all tokens; it has no other for models that answer. */
const pooling = { none: 0, rank: 4 } as const

/** Of architectures that read a text as a whole and write none. */
const encoders = /bert|t5encoder|(^|-)embed/

/** What a model of this header is for: by how it pools, or, where it does not say, by its architecture. */
export function toGgufKind({ metadata }: Pick<GgufHeader, 'metadata'>): GgufKind {
  const architecture = String(metadata.get('general.architecture'))
  const type = metadata.get(`${architecture}.pooling_type`)
  if (type === pooling.rank) return 'rerank'
  const isPooled = typeof type === 'number' && type > pooling.none
  return isPooled || encoders.test(architecture) ? 'embedding' : 'chat'
}
