import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { describe, expect, it, onTestFinished } from 'vitest'
import { createGatewayRig } from '../../support/gateway-rig.ts'

/** A gateway with keys, and a console of two files beside a file that is nobody's business. */
async function createRig() {
  const root = await mkdtemp(join(tmpdir(), 'qmesh-test-'))
  onTestFinished(() => rm(root, { recursive: true }))
  const consoleDir = join(root, 'console')
  await mkdir(consoleDir)
  await Promise.all([
    writeFile(join(root, 'secret'), 'secret'),
    writeFile(join(consoleDir, 'index.html'), '<p>console</p>'),
    writeFile(join(consoleDir, 'main.js'), 'true'),
  ])
  return createGatewayRig({ settings: { keys: ['0123456789abcdef'], consoleDir } })
}

describe('the console', () => {
  it('is given without a key, and loads nothing from elsewhere', async () => {
    const { get } = await createRig()
    const page = await get('/')
    expect(page.body).toBe('<p>console</p>')
    expect(page.headers['content-type']).toMatch(/^text\/html/)
    expect(page.headers['content-security-policy']).toMatch(/^default-src 'none'; script-src 'self';/)
    const script = await get('/console/main.js')
    expect([script.statusCode, script.headers['content-type']]).toEqual([
      200,
      expect.stringMatching(/javascript/),
    ])
  })

  it.each(['/console/../secret', '/console/..%2fsecret', '/console/%2e%2e%2fsecret', '/console/none.js'])(
    'has no %s',
    async (path) => {
      const { get } = await createRig()
      const reply = await get(path)
      expect(reply.statusCode).toBeGreaterThanOrEqual(400)
      expect(reply.body).not.toBe('secret')
    },
  )

  it('that was not built says how to build it', async () => {
    const { get } = await createGatewayRig()
    const reply = await get('/')
    expect(reply.statusCode).toBe(404)
    expect(reply.json()).toMatchObject({ error: { message: expect.stringContaining('npm run build') } })
  })
})
