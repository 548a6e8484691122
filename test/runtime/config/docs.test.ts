import { format, resolveConfig } from 'prettier'
import { parse } from 'smol-toml'
import { expect, it } from 'vitest'
import {
  configFromOptions,
  configKeyNames,
  renderConfigDocs,
  renderExampleFile,
} from '../../../runtime/config/index.ts'

const docs = new URL('../../../docs/CONFIG.md', import.meta.url).pathname

// After a change of a key: npx vitest run --project unit test/runtime/config/docs.test.ts --update
it('docs/CONFIG.md lists every key as it is', async () => {
  const text = await format(renderConfigDocs(), { ...(await resolveConfig(docs)), parser: 'markdown' })
  await expect(text).toMatchFileSnapshot(docs)
})

it('every example of the example file is accepted', () => {
  const lines = renderExampleFile().split('\n')
  const examples = lines.map((line) => line.replace(/^# /, '')).filter((line) => /^[a-zA-Z]+ = /.test(line))
  expect(examples).toHaveLength(configKeyNames.length)
  const config = configFromOptions(parse(examples.join('\n')))
  expect(Object.keys(config)).toEqual(configKeyNames)
})
