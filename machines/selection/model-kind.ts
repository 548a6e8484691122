import type { ModelAd } from '../../protocol/index.ts'

/** What a request wants of a model: vectors of any length, of so many numbers, or, where it is absent, an answer. */
export interface KindNeeds {
  readonly embedding?: 'any' | number | undefined
}

type Kind = Pick<ModelAd, 'id' | 'embeddingSize'>

/** Whether a model does what is asked for. */
export const isKind = ({ embeddingSize }: Omit<Kind, 'id'>, { embedding }: KindNeeds): boolean =>
  embedding === 'any' ? embeddingSize !== undefined : embedding === embeddingSize

/** Why a model of that name does not do, and what would. */
export function explainKind({ id, embeddingSize }: Kind, { embedding }: KindNeeds): string {
  if (embedding === undefined)
    return `"${id}" makes embeddings and answers nothing: ask another model, or use it with "embed" or /v1/embeddings`
  if (embeddingSize === undefined)
    return `"${id}" answers and makes no embeddings: name a model for embeddings, or leave the model out for any`
  return `"${id}" makes embeddings of ${embeddingSize} numbers, asked for were ${embedding}`
}
