import { afterEach, expect, it, vi } from 'vitest'
import { programName } from '../../bin/program-name.ts'

afterEach(() => {
  vi.unstubAllEnvs()
})

it('says how to call the program again, by npx where npm started it', () => {
  vi.stubEnv('npm_command', undefined)
  expect(programName()).toBe('qmesh-node')
  vi.stubEnv('npm_command', 'start')
  expect(programName()).toBe('npx qmesh-node')
})
