import { readdirSync } from 'node:fs'
import { basename } from 'node:path'
import { StateMachine } from 'xstate'
import { describe, expect, it } from 'vitest'
import { toMermaid } from '../support/mermaid.ts'

// `npm run docs:machines` writes these files; here they are compared.
const folder = new URL('../../machines/', import.meta.url)
const files = readdirSync(folder, { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.machine.ts'))
  .toSorted()

const page = (name: string, file: string, diagram: string): string =>
  `# ${name}\n\nDrawn from \`machines/${file}\` by \`npm run docs:machines\`; a test compares the two.\n\n\`\`\`mermaid\n${diagram}\n\`\`\`\n`

describe('docs/machines', () => {
  it.each(files)('%s is drawn as it stands', async (file) => {
    const exports = (await import(new URL(file, folder).href)) as Record<string, unknown>
    const machines = Object.values(exports).filter((value) => value instanceof StateMachine)
    expect(machines).toHaveLength(1)
    const [machine] = machines
    if (!machine) return
    const name = basename(file, '.machine.ts')
    await expect(page(name, file, toMermaid(machine))).toMatchFileSnapshot(`../../docs/machines/${name}.md`)
  })
})
