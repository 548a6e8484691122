import type { MeshSchemas } from '../actors/gateway/index.ts'
import { controlCommands } from './control/commands/index.ts'
import { modelViewSchema } from './models/model-view-schema.ts'
import {
  pulledModelSchema,
  pullProgressSchema,
  seedStatusSchema,
  sourceFailureSchema,
} from './models/models.port.ts'

const { status, workers, requests, why, scores, credit, 'why-score': whyScore } = controlCommands

/** What a node answers about itself and its mesh: the same on the control socket and over HTTP. */
export const meshSchemas: MeshSchemas = {
  status: status.result,
  workers: workers.result,
  requests: requests.result,
  why: why.result,
  scores: scores.result,
  whyScore: whyScore.result,
  credit: credit.result,
  libraryModel: modelViewSchema,
  seed: seedStatusSchema,
  pullProgress: pullProgressSchema,
  sourceFailure: sourceFailureSchema,
  pulledModel: pulledModelSchema,
}
