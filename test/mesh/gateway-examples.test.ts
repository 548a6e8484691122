import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { runMain, startCli } from '../bin/cli.ts'
import { writeTinyBert } from '../support/tiny-bert.ts'
import { createTestMesh } from './support/mesh.ts'
import { writeToolModel } from './support/tool-model.ts'
import { meshVariables, untilUp } from './support/up.ts'

const run = promisify(execFile)
const root = new URL('../..', import.meta.url).pathname

/** The programs of the page, in the order in which they stand there. */
const examples = Array.from(
  readFileSync(new URL('../../docs/GATEWAY.md', import.meta.url), 'utf8').matchAll(
    /^```(sh|js)\n([\s\S]*?)^```$/gm,
  ),
  ([, language = '', code = '']) => ({ language, code }),
).filter(({ language, code }) => language === 'js' || code.startsWith('curl '))

it('`qmesh-node up` says where its gateway is, and every example of docs/GATEWAY.md runs against it as written', async () => {
  const mesh = await createTestMesh()
  const home = await mesh.tempDir()
  const models = ['--model=nano', `--model=${writeTinyBert(join(home, 'minilm.gguf'))}`]
  const up = startCli(home, ['up', `--data-dir=${home}`, ...models], { env: meshVariables(mesh) })
  const url = await untilUp(up)
  expect((await runMain(home, ['status', '--data-dir', home])).stdout).toMatch(
    new RegExp(`^gateway +${url}$`, 'm'),
  )

  // The small built-in model knows no functions; another node's does.
  await mesh.worker({ models: [await writeToolModel(mesh, 4_096)] })
  const listed = async (): Promise<string> => (await fetch(`${url}/v1/models`)).text()
  await expect.poll(listed).toContain('"tools":true')

  expect(examples.length).toBeGreaterThanOrEqual(9)
  const outputs = await Promise.all(
    examples.map(async ({ language, code }) => {
      const written = code.replaceAll('http://127.0.0.1:11500', url)
      const [command, args] =
        language === 'sh'
          ? ['sh', ['-c', written]]
          : [process.execPath, ['--input-type=module', '-e', written]]
      return (await run(command, args, { cwd: root })).stdout
    }),
  )
  for (const output of outputs) {
    expect(output).not.toContain('"error"')
    expect(output.length).toBeGreaterThan(10)
  }
  expect(outputs.filter((output) => output.includes('data: [DONE]'))).toHaveLength(1)
  expect(outputs.filter((output) => /peer-to-peer/.test(output)).length).toBeGreaterThan(0)
  const exited = once(up, 'exit')
  up.kill('SIGTERM')
  expect(await exited).toEqual([0, null])
})
