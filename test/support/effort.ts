import { isStampEnough } from '../../machines/trust/index.ts'
import {
  EffortHash,
  type EffortTask,
  inferenceNetwork,
  toEffortNonce,
  toTopic,
} from '../../protocol/index.ts'

export const effortNetwork = toTopic({ network: inferenceNetwork })

/** A nonce of exactly so many bits, or of that many and more. */
export function solveEffort(task: EffortTask, bits: number, isExact = false): string {
  const hash = new EffortHash(task)
  for (let nonce = 0; ; nonce++) {
    const found = hash.of(nonce)
    if (isStampEnough(found, bits) && !(isExact && isStampEnough(found, bits + 1)))
      return toEffortNonce(nonce)
  }
}
