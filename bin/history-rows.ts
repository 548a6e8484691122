import type { HistoryEntry } from '../runtime/index.ts'
import { short } from './stream-answer.ts'

/** Entries of a log as rows of a table, with a head. */
export function historyRows(entries: readonly HistoryEntry[]): string[][] {
  return [['ENTRY', 'AT', 'WHAT', 'WITH', 'POINTS', 'WEIGHT', 'WORTH', 'CREDITS', ''], ...entries.map(toRow)]
}

function toRow(entry: HistoryEntry): string[] {
  const index = `#${entry.index}`
  switch (entry.type) {
    case 'card':
      return [index, '', 'card', entry.name || '–', '', '', '', '', '']
    case 'payment':
      return [
        index,
        toMinute(entry.at),
        'paid',
        short(entry.workerId),
        '',
        '',
        '',
        (-entry.amount).toFixed(3),
        '',
      ]
    case 'receipt':
      return [
        index,
        toMinute(entry.at),
        `answered ${entry.tokens} tokens in ${entry.milliseconds} ms`,
        short(entry.clientId),
        `${entry.speed} + ${entry.complexity} + ${entry.quality}`,
        entry.weight.toFixed(3),
        entry.worth.toFixed(2),
        entry.price.toFixed(3),
        [entry.funding, entry.isSigned ? undefined : 'not signed to its end'].filter(Boolean).join(', '),
      ]
  }
}

const toMinute = (time: string): string => time.replace('T', ' ').slice(0, 16)
