import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { writeTinyGguf } from '../../support/tiny-gguf.ts'
import { hermesTemplate } from '../../support/tool-templates.ts'
import type { TestMesh } from './mesh.ts'

/** A model whose template knows functions; it never ends its turn unless a grammar ends it. */
export async function writeToolModel(mesh: TestMesh, contextTokens = 1_024) {
  const path = join(await mesh.tempDir(), 'caller.gguf')
  writeTinyGguf(path, { isEndless: true, chatTemplate: hermesTemplate, contextTokens })
  const sha256 = createHash('sha256').update(readFileSync(path)).digest('hex')
  return { id: 'caller', path, contextTokens, slots: 2, sha256 }
}
