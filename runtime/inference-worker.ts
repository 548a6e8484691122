import type { InferenceTask, TaskAnswer } from '../actors/inference/llama/thread-messages.ts'

/** Where this file is: what `createLlamaEngine` starts its threads with. `.ts` in a checkout, `.js` in `dist`. */
export const inferenceWorkerUrl = import.meta.url

/**
 * Entry of an inference thread. The engine is imported in the first task and not above, so that the node can import
 * this file for its address without loading native code into its own thread.
 */
export async function runInferenceTask(task: InferenceTask): Promise<TaskAnswer> {
  const { answerTask } = await import('../actors/inference/llama/thread/inference-thread.ts')
  return answerTask(task)
}
