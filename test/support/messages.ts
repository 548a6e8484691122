import type {
  Ack,
  Cancel,
  Hello,
  InferenceError,
  ModelAd,
  Ping,
  Pong,
  Prompt,
  QueueStatus,
  Response,
  Status,
} from '../../protocol/index.ts'
import { defaultSampling } from '../../protocol/index.ts'

const requestId = '0123456789abcdef0123456789abcdef'

export const modelAd: ModelAd = { id: 'tiny', hash: 'a'.repeat(64), contextTokens: 2_048, slots: 4 }

/** One valid message of each type; tests spread them and change what they are about. */
export const samples = {
  hello: {
    type: 'hello',
    protocol: 2,
    agent: 'qmesh/0.1.0',
    roles: ['worker', 'client'],
    models: [modelAd],
    capabilities: [],
  } satisfies Hello,
  status: {
    type: 'status',
    healthScore: 87.5,
    state: 'idle',
    accepting: true,
    queueLength: 0,
    queueCapacity: 64,
    slotsBusy: 1,
    slots: 4,
    models: [modelAd],
  } satisfies Status,
  prompt: {
    type: 'prompt',
    requestId,
    modelId: 'tiny',
    messages: [{ role: 'user', content: 'hi' }],
    sampling: defaultSampling,
    maxTokens: 16,
    stop: [],
  } satisfies Prompt,
  'queue-status': {
    type: 'queue-status',
    requestId,
    position: 3,
    etaMs: 1_200,
    promptTokens: 12,
  } satisfies QueueStatus,
  response: {
    type: 'response',
    requestId,
    seq: 0,
    tokens: [1, 2],
    text: 'ok',
    finish: {
      reason: 'stop',
      promptTokens: 12,
      cachedTokens: 0,
      completionTokens: 2,
      queuedMs: 0,
      firstTokenMs: 30,
      totalMs: 40,
    },
  } satisfies Response,
  ack: { type: 'ack', requestId, received: 64 } satisfies Ack,
  cancel: { type: 'cancel', requestId } satisfies Cancel,
  ping: { type: 'ping', id: 7 } satisfies Ping,
  pong: { type: 'pong', id: 7 } satisfies Pong,
  inference_error: {
    type: 'inference_error',
    requestId,
    code: 'QM_QUEUE_FULL',
    message: 'full',
    retryAfterMs: 500,
  } satisfies InferenceError,
}
