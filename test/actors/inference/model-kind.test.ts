import { describe, expect, it } from 'vitest'
import { toGgufKind } from '../../../actors/inference/gguf/model-kind.ts'

const kindOf = (architecture: string, pooling?: number) =>
  toGgufKind({
    metadata: new Map<string, string | number>([
      ['general.architecture', architecture],
      ...(pooling === undefined ? [] : [[`${architecture}.pooling_type`, pooling] as const]),
    ]),
  })

describe('what a model is for', () => {
  it.each(['bert', 'nomic-bert', 'jina-bert-v2', 'modern-bert', 't5encoder', 'gemma-embedding'])(
    'is told by its architecture where it does not say: %s makes embeddings',
    (architecture) => expect(kindOf(architecture)).toBe('embedding'),
  )

  it.each(['llama', 'qwen2', 'gemma3', 'phi3'])('%s answers', (architecture) =>
    expect(kindOf(architecture)).toBe('chat'),
  )

  it('one that pools makes embeddings, whatever its architecture', () => {
    expect(kindOf('qwen3', 3)).toBe('embedding')
    expect(kindOf('llama', 1)).toBe('embedding')
    expect(kindOf('llama', 0)).toBe('chat')
  })

  it('one that pools to ranks makes none', () => {
    expect(kindOf('bert', 4)).toBe('rerank')
    expect(kindOf('qwen3', 4)).toBe('rerank')
  })
})
