import { signal } from '@preact/signals'
import { toApiError } from '../api/api-error.ts'
import { getJson } from '../api/call.ts'
import type { ScoreRow } from '../api/types.ts'

/** Scores change with whole answers: this is often enough. */
const refreshMs = 5_000

/** Everybody this node has heard of, the best first: where names and tiers come from. */
export const accounts = signal<readonly ScoreRow[]>([])
/** Whether this node keeps books; undefined while that is not known. */
export const hasBooks = signal<boolean | undefined>(undefined)

export async function refreshAccounts(): Promise<void> {
  try {
    accounts.value = await getJson<readonly ScoreRow[]>('/v1/mesh/scores')
    hasBooks.value = true
  } catch (error) {
    if (toApiError(error).code === 'account_not_found') hasBooks.value = false
  }
}

export async function followAccounts(): Promise<never> {
  for (;;) {
    if (!document.hidden && hasBooks.value !== false) await refreshAccounts()
    await new Promise((resolve) => setTimeout(resolve, refreshMs))
  }
}

export const accountOf = (id: string): ScoreRow | undefined => accounts.value.find((row) => row.id === id)
