import type { AttemptExplanation, ChoiceExplanation, RequestExplanation } from '../runtime/index.ts'
import { plainText } from '../runtime/plain-text.ts'
import { short } from './stream-answer.ts'

const manners: Readonly<Record<string, string>> = {
  best: 'clearly the best',
  band: 'drawn among the best, which differ by less than 5 %',
  affinity: 'among the best, and it served this conversation before',
  trial: 'to get to know it',
}

/** Workers shown of one choice; `--json` has them all. */
const rowsMax = 12

const ms = (value: number): string => `${Math.round(value)} ms`
const many = (count: number, one: string, more = `${one}s`): string => `${count} ${count === 1 ? one : more}`

/** A request's story for a terminal; what others wrote is made plain. */
export function explanationLines(why: RequestExplanation): string[] {
  const { requestId, askedAt, model, embedding, localOnly, attempts, tries, search } = why
  return [
    `request ${requestId}`,
    `asked   ${askedAt.replace('T', ' ').slice(0, 19)} UTC for ${embedding ? 'embeddings of ' : ''}${model ?? 'any model'}${localOnly ? ', on this machine only' : ''}`,
    `outcome ${outcome(why)}`,
    ...(tries > attempts.length
      ? [`\n${many(tries - attempts.length, 'earlier try', 'earlier tries')} left out`]
      : []),
    ...attempts.flatMap((attempt, index) =>
      attemptLines(attempt, tries - attempts.length + index + 1, embedding),
    ),
    ...(search ? ['\nlast look: nobody was chosen', ...choiceLines(search)] : []),
  ].map((line) => plainText(line))
}

function outcome(why: RequestExplanation): string {
  const { state, code, message, embedding, tokens, totalMs, tries, handovers } = why
  const facts = [
    state === 'failed' ? `failed with ${code ?? 'no code'}` : state === 'open' ? 'still open' : 'answered',
    ...(embedding ? [] : [many(tokens, 'token')]),
    ...(totalMs === undefined ? [] : [ms(totalMs)]),
    many(tries, 'try', 'tries'),
    ...(handovers > 0 ? [many(handovers, 'handover')] : []),
  ]
  return `${facts.join(', ')}${message === undefined ? '' : `: ${message}`}`
}

const handoverText = ({ afterTokens, gapMs, resume }: NonNullable<AttemptExplanation['handover']>): string =>
  `went on after ${many(afterTokens, 'token')}, gap ${ms(gapMs)}${resume ? `, resume: ${resume}` : ''}`

function attemptLines(attempt: AttemptExplanation, number: number, isEmbedding = false): string[] {
  const { workerId, modelId, atMs, tokens, effort, queued, handover, code, message, choice } = attempt
  const { firstTokenMs, totalMs } = attempt
  const facts = [
    ...(effort
      ? [`worked ${effort.ms === undefined ? 'until now' : ms(effort.ms)} for ${many(effort.bits, 'bit')}`]
      : []),
    ...(queued && queued.position > 0
      ? [`place ${queued.position} in its queue, about ${ms(queued.etaMs)}`]
      : []),
    ...(firstTokenMs === undefined ? [] : [`first token after ${ms(firstTokenMs)}`]),
    ...(isEmbedding ? [] : [many(tokens, 'token')]),
    ...(totalMs === undefined ? ['still open'] : [`over after ${ms(totalMs)}`]),
    ...(handover ? [handoverText(handover)] : []),
  ]
  return [
    `\ntry ${number} at ${ms(atMs)}: ${modelId} on ${short(workerId)}`,
    `  ${facts.join(', ')}`,
    ...(code === undefined ? [] : [`  ended with ${code}${message === undefined ? '' : `: ${message}`}`]),
    ...(choice ? choiceLines(choice) : []),
  ]
}

function choiceLines({ workerId, manner, seed, known, reasons, isReproduced }: ChoiceExplanation): string[] {
  const among = many(known, 'known worker')
  const how =
    workerId === null ? `none of ${among} would do` : `chosen of ${among}: ${manners[manner ?? ''] ?? manner}`
  const replayed =
    isReproduced === undefined ? '' : isReproduced ? '; made again: the same' : '; made again: ANOTHER choice'
  const isWorkAsked = reasons.some((reason) => 'terms' in reason && reason.terms.effortMs !== undefined)
  const rows = reasons
    .slice(0, rowsMax)
    .map((reason) =>
      'rejected' in reason
        ? [short(reason.workerId), `out: ${reason.rejected}`]
        : [
            short(reason.workerId),
            reason.standing,
            reason.group,
            reason.score.toFixed(3),
            reason.terms.health.toFixed(2),
            reason.terms.responsiveness.toFixed(2),
            reason.terms.performance.toFixed(2),
            reason.terms.queueAvailability.toFixed(2),
            reason.terms.queued.toFixed(1),
            ...(isWorkAsked ? [ms(reason.terms.effortMs ?? 0)] : []),
          ],
    )
  const head = [
    'WORKER',
    'STANDING',
    'GROUP',
    'SCORE',
    'HEALTH',
    'RESPONSE',
    'SPEED',
    'QUEUE FREE',
    'WAITING',
    ...(isWorkAsked ? ['WORK'] : []),
  ]
  const hasScores = reasons.some((reason) => 'score' in reason)
  return [
    `  ${how}; seed ${seed}${replayed}`,
    ...(rows.length > 0 ? aligned([hasScores ? head : head.slice(0, 2), ...rows]) : []),
    ...(known > rows.length ? [`    and ${known - rows.length} more`] : []),
  ]
}

function aligned(rows: readonly (readonly string[])[]): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => row[column]?.length ?? 0)))
  return rows.map((row) =>
    `    ${row.map((cell, column) => cell.padEnd(widths[column] ?? 0)).join('  ')}`.trimEnd(),
  )
}
