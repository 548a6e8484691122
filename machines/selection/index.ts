export type { Rejection } from './candidate.ts'
export { explain } from './explain.ts'
export type { Explanation, Reasons } from './explain.ts'
export { explainKind, isKind } from './model-kind.ts'
export type { KindNeeds } from './model-kind.ts'
export { explainNoChoice } from './no-choice.ts'
export type { NoChoice } from './no-choice.ts'
export { replay, select } from './select.ts'
export type { Manner, Selection, SelectionTrace } from './select.ts'
export { standingTerms } from './standing.ts'
export { explainNoTools } from './tool-models.ts'
export type { ToolNeeds } from './tool-models.ts'
export { WorkerDirectory } from './worker-directory.ts'
export type {
  DirectoryOptions,
  WorkerChoice,
  WorkerHello,
  WorkerQuery,
  WorkerView,
} from './worker-directory.ts'
