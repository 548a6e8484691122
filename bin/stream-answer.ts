import type { ControlAnswer } from '../runtime/control/index.ts'
import { note, output } from './output.ts'
import type { Spinner } from './spinner.ts'

export type Result = Awaited<ControlAnswer['result']>

/** Tells the spinner how far the question is. */
export function follow(answer: ControlAnswer, spinner: Spinner): void {
  answer.on('waiting', () => spinner.text('looking for a worker'))
  answer.on('worker', ({ workerId, modelId }) => spinner.text(`asking ${modelId} on ${short(workerId)}`))
  answer.on('queued', ({ position, etaMs }) => {
    if (position > 0) spinner.text(`waiting, ${position} before you, about ${Math.ceil(etaMs / 1_000)} s`)
    else spinner.text('reading the prompt')
  })
  answer.on('attemptFailed', ({ workerId, code }) =>
    spinner.text(`${short(workerId)}: ${code}, trying another worker`),
  )
}

/** Writes the answer as it comes and ends its last line, also when it breaks off. */
export async function streamAnswer(answer: ControlAnswer, spinner: Spinner): Promise<Result> {
  let last = '\n'
  try {
    for await (const { text } of answer) {
      if (text === '') continue
      spinner.stop()
      await output.answer(text)
      last = text
    }
    return await answer.result
  } finally {
    spinner.stop()
    if (!last.endsWith('\n')) await output.line('').catch(() => undefined)
  }
}

/** One line about an answer, on standard error. */
export function printStats(result: Result): void {
  const { usage, timings, workerId, modelId, finishReason, attempts, handovers } = result
  // The first token comes with the prompt; what generating costs is the time between the others.
  const generatingMs = timings.totalMs - timings.firstTokenMs
  const speed =
    usage.completionTokens > 1 && generatingMs > 0 ? (usage.completionTokens - 1) / (generatingMs / 1_000) : 0
  const facts = [
    `${usage.completionTokens} tokens (${finishReason})`,
    ...(speed > 0 ? [`${speed.toFixed(1)} tokens/s`] : []),
    `first token ${Math.round(timings.firstTokenMs)} ms`,
    `queued ${Math.round(timings.queuedMs)} ms`,
    `prompt ${usage.promptTokens} tokens (${usage.cachedTokens} cached)`,
    `${modelId} on ${short(workerId)}`,
    ...handovers.map(
      ({ from, afterTokens, gapMs, resume }) =>
        `continued after ${afterTokens} tokens of ${short(from)} (gap ${Math.round(gapMs)} ms${resume ? `, resume: ${resume}` : ''})`,
    ),
    ...(attempts.length > 1 ? [`${attempts.length} workers tried`] : []),
  ]
  note(facts.join(' · '))
}

export const short = (id: string): string => `${id.slice(0, 12)}…`
