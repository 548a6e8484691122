import { getLlama, resolveChatWrapper, type LlamaContextSequence, type Token } from 'node-llama-cpp'

/**
 * The peer to measure against: node-llama-cpp alone, in a process of its own, with the same model, threads, context and
 * sampling. It answers a job with what it measured.
 */
export interface StreamJob {
  readonly streams: number
  readonly maxTokens: number
  /** Said first, or the default of a chat template would make one of the two prompts longer. */
  readonly system: string
  readonly prompt: string
}

export interface StreamMeasure {
  /** Tokens of all streams together, per second, from the first request to the last token. */
  readonly tokensPerSecond: number
  /** Milliseconds from request to first token, the median over the streams. */
  readonly firstTokenMs: number
}

const [modelPath = '', threads = '1', contextTokens = '512', sequences = '8'] = process.argv.slice(2)
const llama = await getLlama({ build: 'never', gpu: false, logLevel: 'error' as never })
const model = await llama.loadModel({ modelPath, gpuLayers: 0 })
const context = await model.createContext({
  contextSize: Number(contextTokens),
  sequences: Number(sequences),
  threads: Number(threads),
})
const wrapper = resolveChatWrapper(model)
const lanes = Array.from({ length: Number(sequences) }, () => context.getSequence())

async function stream(
  sequence: LlamaContextSequence,
  { system, prompt, maxTokens }: StreamJob,
  startedAt: number,
) {
  const { contextText } = wrapper.generateContextState({
    chatHistory: [
      { type: 'system', text: system },
      { type: 'user', text: prompt },
      { type: 'model', response: [''] },
    ],
  })
  const prompted = contextText.tokenize(model.tokenizer)
  // What the last prompt shares with this one stays in the cache, as on a worker.
  await sequence.adaptStateToTokens(prompted)
  let tokens = 0
  let firstTokenMs = 0
  const text: string[] = []
  const seen: Token[] = []
  for await (const token of sequence.evaluate(prompted.slice(sequence.nextTokenIndex), {
    temperature: 0,
    yieldEogToken: true,
  })) {
    if (tokens === 0) firstTokenMs = performance.now() - startedAt
    text.push(model.detokenize([token], false, seen.slice(-4)))
    seen.push(token)
    tokens++
    if (tokens >= maxTokens || model.isEogToken(token)) break
  }
  return { tokens, firstTokenMs }
}

process.on('message', (job: StreamJob) => {
  void (async () => {
    const startedAt = performance.now()
    const results = await Promise.all(lanes.slice(0, job.streams).map((lane) => stream(lane, job, startedAt)))
    const tokens = results.reduce((sum, result) => sum + result.tokens, 0)
    const firsts = results.map(({ firstTokenMs }) => firstTokenMs).toSorted((a, b) => a - b)
    const measure: StreamMeasure = {
      tokensPerSecond: (tokens * 1_000) / (performance.now() - startedAt),
      firstTokenMs: firsts[Math.floor(firsts.length / 2)] ?? 0,
    }
    process.send?.(measure)
  })()
})
process.on('disconnect', () => {
  void llama.dispose().then(() => process.exit(0))
})
process.send?.('ready')
