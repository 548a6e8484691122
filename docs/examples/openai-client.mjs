// OpenAI's client for Node.js, with a node of the mesh behind it.
//
//   npm install qmesh openai
//   npx qmesh-node up              (in another terminal)
//   node openai-client.mjs
import OpenAI, { APIConnectionError, APIError } from 'openai'

const url = process.env.QMESH_URL ?? 'http://127.0.0.1:11500'
// A gateway on your own machine wants no key, but the client does. What has to wait is tried again by the client itself.
const openai = new OpenAI({ baseURL: `${url}/v1`, apiKey: process.env.OPENAI_API_KEY ?? 'none' })
// "auto" takes any model of the mesh; names are in `openai.models.list()`.
const model = 'auto'

async function main() {
  const { data: models } = await openai.models.list()
  console.log('models:', models.map(({ id }) => id).join(', '))

  // A whole answer, and what came with it: which worker it was, and the id to ask why.
  const { data: chat, response } = await openai.chat.completions
    .create({ model, messages: [{ role: 'user', content: 'What is QMesh?' }] })
    .withResponse()
  console.log('answer:', chat.choices[0].message.content)
  console.log('worker:', response.headers.get('x-qmesh-worker'))
  console.log('why:   ', `${url}/v1/mesh/requests/${chat.id}/why`)

  // The same as it is written. Leaving the loop stops the worker, too.
  const stream = await openai.chat.completions.create({
    model,
    messages: [{ role: 'user', content: 'Who are you?' }],
    stream: true,
  })
  process.stdout.write('stream: ')
  for await (const chunk of stream) process.stdout.write(chunk.choices[0]?.delta.content ?? '')
  process.stdout.write('\n')

  // JSON of a certain shape: the worker's grammar lets nothing else through. Bound what could go on for ever.
  const shaped = await openai.chat.completions.create({
    model,
    messages: [{ role: 'user', content: 'Describe a fox.' }],
    response_format: {
      type: 'json_schema',
      json_schema: {
        name: 'animal',
        strict: true,
        schema: {
          type: 'object',
          properties: {
            sentence: { type: 'string', maxLength: 80 },
            legs: { enum: [0, 2, 4, 6, 8] },
            isWild: { type: 'boolean' },
          },
          required: ['sentence', 'legs', 'isWild'],
          additionalProperties: false,
        },
      },
    },
  })
  console.log('json:  ', JSON.parse(shaped.choices[0].message.content))

  // An error has OpenAI's code where there is one, and the mesh's own in a header.
  try {
    await openai.chat.completions.create({
      model: 'no-such-model',
      messages: chat.choices.map((c) => c.message),
    })
  } catch (error) {
    if (!(error instanceof APIError)) throw error
    console.log('error: ', error.status, error.code, error.headers?.get('x-qmesh-error'))
  }
}

try {
  await main()
} catch (error) {
  if (!(error instanceof APIConnectionError)) throw error
  console.error(`Nobody answers at ${url}. Start a node there: npx qmesh-node up`)
  process.exitCode = 1
}
