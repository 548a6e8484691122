import type { RequestSummary } from '../runtime/index.ts'

type Asked = Pick<RequestSummary, 'model' | 'embedding' | 'tokens'>

/** What a request asked for, and the tokens it got, as cells of a table: vectors have none. */
export const modelCell = ({ model, embedding }: Asked): string =>
  `${model ?? 'any'}${embedding ? ' (embeddings)' : ''}`
export const tokensCell = ({ embedding, tokens }: Asked): string => (embedding ? '–' : String(tokens))
