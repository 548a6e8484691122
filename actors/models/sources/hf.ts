import type { ModelSource } from '../../../protocol/models/index.ts'
import { HttpSource } from './http.ts'
import type { FileSource } from './source.ts'

export const hfEndpoint = 'https://huggingface.co'

export interface HfOptions {
  /** Where the hub is: its own address, or that of a mirror. */
  readonly endpoint?: string | undefined
  /** For repositories that want to know who asks. */
  readonly token?: string | undefined
  readonly stallMs?: number | undefined
}

/** A file of a repository on Hugging Face. It redirects to a store of its own, which knows ranges. */
export function createHfSource(
  { repo, file, revision }: Extract<ModelSource, { kind: 'hf' }>,
  { endpoint = hfEndpoint, token, stallMs }: HfOptions = {},
): FileSource {
  const path = [...repo.split('/'), 'resolve', revision, ...file.split('/')].map(encodeURIComponent).join('/')
  return new HttpSource(`${endpoint.replace(/\/+$/, '')}/${path}`, {
    name: `hf:${repo}/${file}`,
    authorization: token === undefined ? undefined : `Bearer ${token}`,
    stallMs,
  })
}
