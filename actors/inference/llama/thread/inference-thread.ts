import { type ModelHash, QMeshError, toQMeshError } from '../../../../protocol/index.ts'
import type { LoadedModel } from '../../engine.port.ts'
import { FileTrial } from '../../../models/facts/file-trial.ts'
import type { FromThread, InferenceTask, LoadTask, SurveyTask, TaskAnswer } from '../thread-messages.ts'
import { VitalSigns } from '../vital-signs.ts'
import { verifyFile } from './verify-file.ts'
import type { Hosted } from './hosted.ts'

/** One thread hosts one model, so one instance per thread is all there is. */
let hosted: Hosted | undefined

/** Answers one task. Never rejects: errors are values here, see `TaskAnswer`. */
export async function answerTask(task: InferenceTask): Promise<TaskAnswer> {
  try {
    if (task.kind === 'load') return await load(task)
    if (task.kind === 'survey') return await survey(task)
    if (!hosted) throw new QMeshError('QM_INTERNAL', 'no model is loaded in this thread')
    switch (task.kind) {
      case 'prepare':
        return await hosted.prepare(task.request)
      case 'release':
        return hosted.release(task.jobId)
      case 'generate':
        return await hosted.generate(task)
      case 'close':
        return await hosted.close()
    }
  } catch (error) {
    const { code, message } = toQMeshError(error, 'QM_INFERENCE_FAILED')
    return { ok: false, failure: { code, message } }
  }
}

/** The engine takes a second to import, a bad file is found in a millisecond: first things first. */
async function load(task: LoadTask): Promise<TaskAnswer> {
  const { hash, kind } = verifyFile(task)
  await tryFile(task, hash)
  const host = kind === 'embedding' ? hostEmbedder : hostModel
  const { model, facts } = await host(task, hash, new VitalSigns(task.vitals))
  hosted = model
  endGentlyOnDefect(hosted, task)
  return { ok: true, loaded: facts }
}

type Host = (
  task: LoadTask,
  hash: ModelHash,
  vitals: VitalSigns,
) => Promise<{ readonly model: Hosted; readonly facts: LoadedModel }>

const hostModel: Host = async (task, hash, vitals) => {
  const [{ loadModel }, { HostedModel }] = await Promise.all([
    import('./loaded.ts'),
    import('./hosted-model.ts'),
  ])
  const loaded = await vitals.native(() => loadModel(task, hash, vitals))
  return { model: new HostedModel(loaded, task, vitals), facts: loaded.facts }
}

const hostEmbedder: Host = async (task, hash, vitals) => {
  const [{ loadEmbedder }, { HostedEmbedder }] = await Promise.all([
    import('./embedding/loaded-embedder.ts'),
    import('./embedding/hosted-embedder.ts'),
  ])
  const loaded = await vitals.native(() => loadEmbedder(task, hash, vitals))
  return { model: new HostedEmbedder(loaded, task, vitals), facts: loaded.facts }
}

/** Of a file whose hash was expected somebody knows what it does; any other may end this process by what it says. */
async function tryFile({ spec, trialDir }: LoadTask, hash: ModelHash): Promise<void> {
  if (trialDir === undefined || spec.expectedHash !== undefined) return
  await new FileTrial({ dir: trialDir }).check(spec.path, hash)
}

async function survey(task: SurveyTask): Promise<TaskAnswer> {
  const file = verifyFile(task)
  const vitals = new VitalSigns(task.vitals)
  const { surveyModel } = await import('./survey.ts')
  return { ok: true, surveyed: await vitals.native(() => surveyModel(task, file)) }
}

/** A defect ends the thread, but not before native calls have returned: see `VitalSigns`. */
function endGentlyOnDefect(model: Hosted, { port }: LoadTask): void {
  const end = (defect: unknown): void => {
    const { message } = toQMeshError(defect)
    port.postMessage({ type: 'log', level: 'fatal', message } satisfies FromThread, [])
    void model.quiet().finally(() => process.exit(1))
  }
  process.once('uncaughtException', end)
  process.once('unhandledRejection', end)
}
