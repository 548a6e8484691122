import type { GenerateRequest } from '../../engine.port.ts'
import type { GenerateTask, TaskAnswer } from '../thread-messages.ts'

/** One loaded model in its own thread, whatever it does. */
export interface Hosted {
  /** @throws QMeshError as `EngineHost.prepare` */
  prepare(request: GenerateRequest): Promise<TaskAnswer>
  release(jobId: string): TaskAnswer
  /** Answers when it has ended; how is said through the port. */
  generate(task: GenerateTask): Promise<TaskAnswer>
  /** Cancels what runs and waits until nothing is in native code any more. */
  quiet(): Promise<void>
  /** Quiet, then frees the model. */
  close(): Promise<TaskAnswer>
}
