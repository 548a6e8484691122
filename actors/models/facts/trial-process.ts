import { setPriority } from 'node:os'
import { checkGgufFile } from '../../inference/gguf/header.ts'
import { toGgufKind } from '../../inference/gguf/model-kind.ts'
import { refusedExitCode, trialMark, unsoundExitCode } from './trial-protocol.ts'
import { unsoundVocabulary } from './vocabulary-check.ts'

/**
 * Entry of the process that loads an unknown file once: over some lies in a header the engine ends its whole process,
 * so that process is not the node's. It answers by its exit code: 0 when the file loads and computes, `refusedExitCode`
 * when the engine refuses it in an orderly way, `unsoundExitCode` for a vocabulary that no engine should read with, or by
 * whatever ended it.
 */
export const trialProcessUrl = import.meta.url

async function tryFile(path: string): Promise<void> {
  const { getLlama, LlamaLogLevel } = await import('node-llama-cpp')
  const llama = await getLlama({
    gpu: false,
    build: 'never',
    skipDownload: true,
    progressLogs: false,
    logLevel: LlamaLogLevel.disabled,
    maxThreads: 1,
    ramPadding: 0,
  })
  const model = await llama.loadModel({ modelPath: path, gpuLayers: 0 })
  if (unsoundVocabulary(model.fileInfo.metadata.tokenizer?.ggml ?? {}) !== undefined)
    process.exit(unsoundExitCode)
  // Some sizes are used for the first time when a graph is built and computed.
  if (toGgufKind(checkGgufFile(path)) === 'chat') {
    const bos = model.tokens.bos ?? model.tokens.eos
    const context = await model.createContext({ contextSize: 64, sequences: 1, threads: 1 })
    const tokens = bos === null ? model.tokenize('a') : [bos]
    await context.getSequence().evaluateWithoutGeneratingNewTokens(tokens)
  } else {
    const context = await model.createEmbeddingContext({ contextSize: 64, threads: 1 })
    await context.getEmbeddingFor('a')
  }
}

const mark = process.argv.indexOf(trialMark)
// Whoever imports this for its address starts nothing.
if (mark >= 0) {
  // The owner of the machine comes first.
  setPriority(10)
  // A trial whose node is gone has nobody to answer.
  process.stdin.on('end', () => process.exit(1)).resume()
  tryFile(process.argv[mark + 1] ?? '').then(
    // Without waiting until the engine has cleaned up after itself.
    () => process.exit(0),
    (error: unknown) => {
      process.stderr.write(`${error instanceof Error ? error.message : String(error)}\n`)
      process.exit(refusedExitCode)
    },
  )
}
