import type { LlamaModel, Token } from 'node-llama-cpp'
import { QMeshError, type Resume, type ResumeMode } from '../../../../protocol/index.ts'
import type { VitalSigns } from '../vital-signs.ts'

/**
 * Milliseconds that drawing the known tokens once more may take: beyond, the reader notices, and near-ties matter less.
 * The prompt has to be read besides.
 */
const exactMsMax = 400
/** Milliseconds per token of a host that has not answered yet: a slow one of those that are of use. */
const unknownTokenMs = 50

/**
 * What costs less, unless the client insists.
 *
 * @param tokenMs milliseconds per token that this host took lately; undefined before its first answer
 * @param busyLanes answers that it generates beside this one. Each takes its part of every turn; and with them in the
 * batch the answer would not be the undisturbed one anyway.
 */
export function toResumeMode(
  { mode, tokens }: Resume,
  tokenMs: number | undefined,
  busyLanes: number,
): ResumeMode {
  if (mode !== undefined) return mode
  return tokens.length * (tokenMs ?? unknownTokenMs) * (1 + busyLanes) <= exactMsMax ? 'exact' : 'fast'
}

/**
 * The tokens as this model's own.
 *
 * @throws QMeshError `QM_RESUME_INVALID` for one outside its vocabulary, or one that ends an answer
 */
export function toResumeTokens(
  { tokens }: Resume,
  model: Pick<LlamaModel, 'isEogToken'>,
  vocabularySize: number,
  vitals: VitalSigns,
): Token[] {
  for (const token of tokens) {
    if (token >= vocabularySize) {
      throw new QMeshError(
        'QM_RESUME_INVALID',
        `the token ${token} is outside the vocabulary of ${vocabularySize}`,
      )
    }
    if (vitals.nativeNow(() => model.isEogToken(token as Token))) {
      throw new QMeshError('QM_RESUME_INVALID', `the token ${token} ends an answer, nothing can follow it`)
    }
  }
  return [...tokens] as Token[]
}
