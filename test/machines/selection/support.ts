import { protocolVersion, type Status } from '../../../protocol/index.ts'
import type { Candidate, LoadClaim } from '../../../machines/selection/candidate.ts'
import { unknownSpeed } from '../../../machines/selection/speed.ts'
import { freshStanding } from '../../../machines/selection/standing.ts'
import { noTurns } from '../../../machines/selection/turns.ts'

export const toWorkerId = (name: number): string => name.toString(16).padStart(64, '0')

export const llama = { id: 'llama', hash: 'ab'.repeat(32), contextTokens: 4_096, slots: 2 }
export const nano = { id: 'nano', hash: 'cd'.repeat(32), contextTokens: 512, slots: 2 }

export const minilm = {
  id: 'minilm',
  hash: 'ef'.repeat(32),
  contextTokens: 512,
  slots: 1,
  embeddingSize: 384,
}

export const idle: LoadClaim = {
  healthScore: 100,
  state: 'idle',
  accepting: true,
  queueLength: 0,
  queueCapacity: 20,
  slotsBusy: 0,
  slots: 2,
}

export const toStatus = (load: Partial<LoadClaim> = {}): Status => ({
  type: 'status',
  models: [llama],
  ...idle,
  ...load,
})

export const toCandidate = (
  name: number,
  load: Partial<LoadClaim> = {},
  rest: Partial<Candidate> = {},
): Candidate => ({
  workerId: toWorkerId(name),
  local: false,
  protocol: protocolVersion,
  models: [llama],
  load: { ...idle, ...load },
  inFlight: 0,
  unreported: 0,
  turns: noTurns,
  standing: freshStanding,
  // Known well enough not to be tried for its own sake.
  speed: { ...unknownSpeed(), answers: 5, firstTokens: 5 },
  ...rest,
})
