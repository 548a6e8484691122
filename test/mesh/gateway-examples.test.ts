import { execFile } from 'node:child_process'
import { once } from 'node:events'
import { readFileSync } from 'node:fs'
import { promisify } from 'node:util'
import { expect, it } from 'vitest'
import { runMain, startCli } from '../bin/cli.ts'
import { createTestMesh } from './support/mesh.ts'

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
  const flags = ['--bootstrap', mesh.bootstrap[0] ?? '', '--secret', mesh.secret, '--host', '127.0.0.1']
  const up = startCli(home, [
    'up',
    '--no-mdns',
    '--no-pause-when-busy',
    '--stamp-bits=0',
    '--threads=1',
    '--gpu-layers=0',
    '--log-level=fatal',
    `--data-dir=${home}`,
    ...flags,
  ])
  let printed = ''
  for await (const chunk of up.stdout.setEncoding('utf8')) {
    printed += chunk as string
    if (printed.includes('stop it with')) break
  }
  const url = /^gateway +(http:\/\/127\.0\.0\.1:\d+)\/v1 /m.exec(printed)?.[1] ?? ''
  expect(url).not.toBe('')
  expect((await runMain(home, ['status', '--data-dir', home])).stdout).toMatch(
    new RegExp(`^gateway +${url}$`, 'm'),
  )

  expect(examples.length).toBeGreaterThanOrEqual(6)
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
