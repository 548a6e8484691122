import { computed, signal } from '@preact/signals'
import type { Mark } from './rich-text.ts'

export interface Question {
  readonly role: 'user'
  readonly id: string
  readonly text: string
}

export interface AnswerTurn {
  readonly role: 'assistant'
  readonly id: string
  readonly text: string
  readonly state: 'asking' | 'answering' | 'done' | 'stopped' | 'failed'
  readonly marks: readonly Mark[]
  /** In the worker's queue, before the first token. */
  readonly place?: { readonly position: number; readonly etaMs: number } | undefined
  readonly requestId?: string | undefined
  readonly workerId?: string | undefined
  readonly model?: string | undefined
  readonly tokens?: number | undefined
  readonly firstTokenMs?: number | undefined
  readonly totalMs?: number | undefined
  readonly error?:
    | {
        readonly message: string
        readonly code: string
        readonly status: number
        readonly retryAfterMs: number | undefined
      }
    | undefined
}

export type Turn = Question | AnswerTurn

/** Forgotten with the tab; never sent anywhere but with the next question. */
const storageName = 'qmesh.chat'

export const turns = signal<readonly Turn[]>(restore())
export const isRunning = computed(() => turns.value.some(isOpen))

/** Whether it is still coming. */
export function isOpen(turn: Turn): boolean {
  return turn.role === 'assistant' && (turn.state === 'asking' || turn.state === 'answering')
}

export function addTurns(added: readonly Turn[]): void {
  turns.value = [...turns.value, ...added]
  keep()
}

export function changeAnswer(id: string, change: (turn: AnswerTurn) => Partial<AnswerTurn>): void {
  turns.value = turns.value.map((turn) =>
    turn.id === id && turn.role === 'assistant' ? { ...turn, ...change(turn) } : turn,
  )
}

/** Takes the last question and what became of it back, to ask it again. */
export function takeLastQuestion(): string | undefined {
  const index = turns.value.findLastIndex(({ role }) => role === 'user')
  const question = turns.value[index]
  turns.value = turns.value.slice(0, Math.max(0, index))
  return question?.text
}

export function clear(): void {
  turns.value = []
  keep()
}

export function keep(): void {
  try {
    sessionStorage.setItem(storageName, JSON.stringify(turns.value))
  } catch {
    // No room for it: the conversation goes on, and ends with this page.
  }
}

// What came of an answer so far outlives a reload.
addEventListener('pagehide', keep)

/** What the model is told: answers that never came, and their questions, are left out. */
export function toMessages(): { readonly role: string; readonly content: string }[] {
  return turns.value.flatMap((turn, index, all) => {
    const answer = turn.role === 'user' ? all[index + 1] : turn
    const isVoid = answer?.role === 'assistant' && !isOpen(answer) && answer.text === ''
    return isVoid || isOpen(turn) ? [] : [{ role: turn.role, content: turn.text }]
  })
}

function restore(): readonly Turn[] {
  try {
    const kept: unknown = JSON.parse(sessionStorage.getItem(storageName) ?? '[]')
    if (!Array.isArray(kept)) return []
    // What ran when the page was left has nobody who would go on with it.
    return (kept as readonly Turn[]).map((turn) =>
      isOpen(turn) ? { ...(turn as AnswerTurn), state: 'stopped' } : turn,
    )
  } catch {
    return []
  }
}
