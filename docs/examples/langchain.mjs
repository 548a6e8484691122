// LangChain.js with a node of the mesh as its model.
//
//   npm install qmesh @langchain/core @langchain/openai
//   npx qmesh-node up              (in another terminal)
//   node langchain.mjs
import { StringOutputParser } from '@langchain/core/output_parsers'
import { ChatPromptTemplate } from '@langchain/core/prompts'
import { ChatOpenAI } from '@langchain/openai'

const url = process.env.QMESH_URL ?? 'http://127.0.0.1:11500'
const model = new ChatOpenAI({
  // "auto" takes any model of the mesh.
  model: 'auto',
  apiKey: process.env.OPENAI_API_KEY ?? 'none',
  maxTokens: 100,
  configuration: { baseURL: `${url}/v1` },
})

const reply = await model.invoke('What is QMesh?')
console.log('answer:', reply.text)
console.log('usage: ', reply.usage_metadata.output_tokens, 'tokens')

// A chain: a prompt with a hole, the model, and its answer as text, as it is written.
const chain = ChatPromptTemplate.fromMessages([
  ['system', 'You are the assistant of {project}.'],
  ['user', 'Who are you?'],
])
  .pipe(model)
  .pipe(new StringOutputParser())
process.stdout.write('stream: ')
for await (const text of await chain.stream({ project: 'QMesh' })) process.stdout.write(text)
process.stdout.write('\n')

// Several at once: what finds no free slot waits in the workers' queues.
const answers = await chain.batch([{ project: 'QMesh' }, { project: 'a mesh' }, { project: 'your own' }])
console.log('batch: ', answers.length, 'answers')
