/** What other packages may import from `qmesh`. */
export { createClient, createNode } from './create-node.ts'
export type { NodeActorInput, NodeEvents, NodeOptions, QMeshClient, QMeshNode } from './node-api.ts'
export type { ModelStatus, NodeStatus, PartStatus } from './node-status.ts'
export type {
  AttemptExplanation,
  ChoiceExplanation,
  RequestExplanation,
  RequestSummary,
  WhyOptions,
} from './why/request-explanation.ts'
export type { CreditReport, HistoryEntry, ScoreReport, ScoreRow } from './trust/reports.ts'
export {
  type AddOptions,
  type CacheReport,
  type ModelInfo,
  ModelLibrary,
  type ModelLibraryEvents,
  type ModelLibraryOptions,
  type ModelView,
} from './models/index.ts'
export { loadConfig, type Config, type ConfigSources, type LoadedConfig } from './config/index.ts'
export type { WorkerSummary } from './control/index.ts'
export {
  Answer,
  AnswerError,
  type AnswerAttempt,
  type AnswerResult,
  type Handover,
} from '../actors/request/answer.ts'
export type { AnswerEvents } from '../actors/request/answer-events.ts'
export type { AnswerChunk } from '../actors/request/answer-log.ts'
export type { AskOptions } from '../actors/request/ask-options.ts'
export type { EmbedOptions } from '../actors/request/embed-options.ts'
export type { EmbeddedPart, Embeddings } from '../actors/request/embedder.ts'
export type { Tier } from '../machines/scheduling/index.ts'
export { QMeshError, errorCatalogue, type ErrorCode } from '../protocol/errors.ts'
export type { ChatMessage } from '../protocol/messages/chat.ts'
export { createBootstrap, type Bootstrap, type BootstrapOptions } from '../actors/swarm/bootstrap.ts'
