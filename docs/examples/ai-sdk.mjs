// Vercel's AI SDK with a node of the mesh as its provider.
//
//   npm install qmesh ai @ai-sdk/openai-compatible
//   npx qmesh-node up              (in another terminal)
//   node ai-sdk.mjs
import { createOpenAICompatible } from '@ai-sdk/openai-compatible'
import { generateText, streamText } from 'ai'

const url = process.env.QMESH_URL ?? 'http://127.0.0.1:11500'
const qmesh = createOpenAICompatible({ name: 'qmesh', baseURL: `${url}/v1`, includeUsage: true })
// "auto" takes any model of the mesh.
const model = qmesh('auto')

const { text, finishReason, usage } = await generateText({
  model,
  system: 'Answer in one sentence.',
  prompt: 'What is QMesh?',
  maxOutputTokens: 100,
})
console.log('answer:', text)
console.log('ended: ', finishReason, 'after', usage.outputTokens, 'tokens')

const stream = streamText({
  model,
  prompt: 'Who are you?',
  maxOutputTokens: 100,
  // Without this the AI SDK prints what failed, and the stream just ends.
  onError: ({ error }) => {
    throw error
  },
})
process.stdout.write('stream: ')
for await (const delta of stream.textStream) process.stdout.write(delta)
console.log('\nended: ', await stream.finishReason, 'after', (await stream.usage).outputTokens, 'tokens')
