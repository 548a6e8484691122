import type { PullProgress } from '../runtime/models/models.port.ts'
import { toSize } from './model-commands.ts'
import { note } from './output.ts'
import { createSpinner, isShown } from './spinner.ts'

/** Percent of a model between two lines where there is no terminal … */
const percentPerLine = 10
/** … and milliseconds after which there is one anyway. */
const lineMs = 10_000

/** Until somebody is found who knows the model; for one that nobody knows that takes half a minute. */
const lookingText = 'looking for somebody who knows it'
/** Milliseconds of silence before that is said where there is no terminal. */
const patienceMs = 1_000

/** `45 % of 1.2 GB, 23 MB/s, 40 s left, from peers`. */
export function toProgressText({
  stage,
  source,
  doneBytes,
  totalBytes,
  bytesPerSecond,
  etaMs,
}: PullProgress): string {
  if (stage === 'verifying') return 'checking every byte'
  if (stage === 'resolving' && source === undefined) return lookingText
  if (totalBytes === undefined) return `asking ${source ?? 'for its size'}`
  const percent = Math.floor((100 * doneBytes) / totalBytes)
  const parts = [
    `${percent} % of ${toSize(totalBytes)}`,
    bytesPerSecond > 0 && `${toSize(bytesPerSecond)}/s`,
    etaMs !== undefined && etaMs > 0 && `${toDuration(etaMs)} left`,
    stage === 'waiting' ? 'waiting' : source !== undefined && `from ${source}`,
  ]
  return parts.filter(Boolean).join(', ')
}

/** `40 s`, `12 min`, `3 h 5 min`. */
export function toDuration(ms: number): string {
  const seconds = Math.max(1, Math.round(ms / 1_000))
  if (seconds < 100) return `${seconds} s`
  const minutes = Math.round(seconds / 60)
  if (minutes < 100) return `${minutes} min`
  return `${Math.floor(minutes / 60)} h ${minutes % 60} min`
}

export interface ProgressDisplay {
  show(progress: PullProgress): void
  stop(): void
}

/** One line that changes, on a terminal; a line now and then elsewhere. */
export function createProgressDisplay(name: string): ProgressDisplay {
  const spinner = createSpinner(`${name}: ${lookingText}`)
  const isTerminal = isShown()
  const looking = isTerminal ? undefined : setTimeout(() => note(`${name}: ${lookingText}`), patienceMs)
  let [toldPercent, toldMs, toldStage] = [-1, performance.now(), '']
  return {
    show: (progress) => {
      const text = `${name}: ${toProgressText(progress)}`
      spinner.text(text)
      if (isTerminal) return
      if (progress.stage !== 'resolving') clearTimeout(looking)
      const { doneBytes, totalBytes = 0, stage } = progress
      const percent = totalBytes > 0 ? Math.floor((100 * doneBytes) / totalBytes) : 0
      const step = Math.floor(percent / percentPerLine)
      const isNew = step !== toldPercent || (stage === 'verifying' && toldStage !== stage)
      if ((stage !== 'fetching' && stage !== 'verifying') || totalBytes === 0) return
      if (!isNew && performance.now() - toldMs < lineMs) return
      toldPercent = step
      toldMs = performance.now()
      toldStage = stage
      note(text)
    },
    stop: () => {
      clearTimeout(looking)
      spinner.stop()
    },
  }
}
