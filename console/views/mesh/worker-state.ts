import type { Worker } from '../../api/types.ts'
import type { Tone } from '../../ui/pill.tsx'

const reasons: Readonly<Record<string, string>> = {
  'not-accepting': 'pausing',
  overloaded: 'overloaded',
  'queue-full': 'queue full',
  'at-limit': 'has enough of ours',
  protocol: 'other version',
  'refused-lately': 'refused lately',
  'breaker-open': 'resting after failures',
  'probe-under-way': 'being tried again',
}

export interface WorkerState {
  readonly tone: Tone
  readonly text: string
}

/** What a worker is up to, in a word. */
export function toState({ barred, accepting, state, slotsBusy, slots, queueLength }: Worker): WorkerState {
  if (barred !== undefined) return { tone: 'bad', text: reasons[barred] ?? barred.replaceAll('-', ' ') }
  if (!accepting) return { tone: 'warn', text: 'pausing' }
  if (state === 'overloaded') return { tone: 'bad', text: 'overloaded' }
  if (queueLength > 0) return { tone: 'warn', text: 'queueing' }
  if (slotsBusy > 0) return { tone: slotsBusy >= slots ? 'busy' : 'good', text: 'answering' }
  return { tone: 'good', text: 'ready' }
}
