import { readdir, readFile, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, it } from 'vitest'
import { createFreshFolder } from './support/fresh-folder.ts'
import { linkPackages, repository } from './support/install.ts'

/** What somebody with TypeScript writes: the options, the answer, its events and errors, and an actor of their own. */
const program = `
import { createClient, createNode, loadConfig, QMeshError } from 'qmesh'
import type { Answer, NodeActorInput, QMeshNode } from 'qmesh'
import { inspect } from 'qmesh/inspect'
import { fromCallback, fromPromise, setup } from 'xstate'

const watch = setup({ types: { input: {} as NodeActorInput, context: {} as NodeActorInput } }).createMachine({
  context: ({ input }) => input,
  initial: 'on',
  states: { on: {} },
})
const { config } = await loadConfig()
const node: QMeshNode = await createNode({ ...config, actors: { watch, ticks: fromCallback(() => () => {}) } })
const { url, close } = await inspect(node.actor)
const client = await createClient({ bootstrap: ['127.0.0.1:49737'], ephemeral: true })
const answer: Answer = client.ask([{ role: 'user', content: url }], { signal: AbortSignal.timeout(1_000) })
answer.on('queued', ({ position, etaMs }) => console.log(position.toFixed(), etaMs.toFixed()))
try {
  for await (const { text } of answer) console.log(text.length)
  const { usage, handovers } = await answer.result
  console.log(usage.completionTokens, handovers[0]?.gapMs, node.status().parts[0]?.state)
} catch (error) {
  if (error instanceof QMeshError && error.code === 'QM_NO_WORKERS') console.log(error.retryAfterMs ?? 0)
}
await close()

// @ts-expect-error there is no such option
await createClient({ bootstraps: [] })
// @ts-expect-error a question is text or messages
client.ask(42)
// @ts-expect-error a node gives an actor itself, and nothing else
await createNode({ actors: { greedy: fromPromise<void, NodeActorInput & { more: string }>(async () => {}) } })
`

it('a program in strict TypeScript is checked against the types of the package', async () => {
  const folder = await createFreshFolder('own-actor.mjs')
  await linkPackages(join(folder.path, 'node_modules'), ['typescript', '@types/node'])
  await writeFile(join(folder.path, 'program.mts'), program)
  const compilerOptions = {
    module: 'nodenext',
    target: 'es2023',
    strict: true,
    exactOptionalPropertyTypes: true,
    types: ['node'],
    skipLibCheck: true,
    noEmit: true,
  }
  await writeFile(
    join(folder.path, 'tsconfig.json'),
    JSON.stringify({ compilerOptions, files: ['program.mts'] }),
  )
  const { code, stdout } = await folder.run(process.execPath, ['node_modules/typescript/bin/tsc'])
  expect({ code, stdout }).toEqual({ code: 0, stdout: '' })
})

it('docs/examples/README.md lists every example, and every example has its test', async () => {
  const folder = join(repository, 'docs/examples')
  const examples = (await readdir(folder)).filter((file) => file !== 'README.md')
  const page = await readFile(join(folder, 'README.md'), 'utf8')
  const listed = Array.from(page.matchAll(/^\| \[(\S+)\]\(\1\)/gm), ([, file]) => file)
  expect(new Set(listed)).toEqual(new Set(examples))
  const own = join(repository, 'test/examples')
  const tests = await Promise.all(
    (await readdir(own))
      .filter((file) => file.endsWith('.test.ts'))
      .map((file) => readFile(join(own, file), 'utf8')),
  )
  for (const example of examples)
    expect(
      tests.some(
        (text) => text.includes(`createFreshFolder('${example}')`) || text.includes(`run('${example}'`),
      ),
    ).toBe(true)
})
