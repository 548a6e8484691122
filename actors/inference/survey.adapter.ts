import { fromPromise } from 'xstate'
import type { EngineHostInput, ModelSurvey } from '../../machines/inference/index.ts'
import { QMeshError } from '../../protocol/index.ts'
import type { EngineHostPorts } from './engine-host.adapter.ts'

/** Looks at a model. Whoever stops the node waits for the thread in `closings`, as for those that run models. */
export const createSurveyLogic = ({ engine, closings }: Pick<EngineHostPorts, 'engine' | 'closings'>) =>
  fromPromise<ModelSurvey, EngineHostInput>(async ({ input: { spec, options } }) => {
    if (!engine.survey) {
      throw new QMeshError(
        'QM_MODEL_UNSUPPORTED',
        'this engine loads models at the start only: leave out the memory budget and "load"',
      )
    }
    const survey = engine.survey(spec, options)
    const ended = survey
      .then(
        () => {},
        () => {},
      )
      .finally(() => closings.delete(ended))
    closings.add(ended)
    return survey
  })
