import { fromPromise, type CallbackActorLogic } from 'xstate'
import {
  hostMachine,
  inferenceMachine,
  slotMachine,
  type JobCommand,
  type RunJobInput,
} from '../../machines/inference/index.ts'
import { countMathCores } from './math-cores.ts'
import { createSurveyLogic } from './survey.adapter.ts'
import { createEngineHostAdapter, type EngineHostPorts } from './engine-host.adapter.ts'

export interface InferencePorts extends EngineHostPorts {
  /** Runs one job in a slot: `job.firstToken`, then `job.finished` or `job.failed`; it must answer `job.cancel`. */
  readonly runJob: CallbackActorLogic<JobCommand, RunJobInput>
}

/** The inference machine with the world plugged in at every level. */
export function createInferenceLogic({ engine, hosts, closings, runJob }: InferencePorts) {
  const slot = slotMachine.provide({ actors: { runJob } })
  const host = hostMachine.provide({
    actors: {
      engineHost: createEngineHostAdapter({ engine, hosts, closings }),
      slot,
      survey: createSurveyLogic({ engine, closings }),
    },
  })
  return inferenceMachine.provide({
    actors: { host, countMathCores: fromPromise(() => countMathCores()) },
  })
}
