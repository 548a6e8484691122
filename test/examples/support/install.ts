import { execFile } from 'node:child_process'
import { existsSync } from 'node:fs'
import { mkdir, mkdtemp, readFile, readdir, realpath, rename, rm, symlink } from 'node:fs/promises'
import { tmpdir } from 'node:os'
import { dirname, join } from 'node:path'
import { promisify } from 'node:util'
import type { TestProject } from 'vitest/node'

declare module 'vitest' {
  interface ProvidedContext {
    /** Folder whose `node_modules` has the package as it would be published. */
    readonly installedIn: string
  }
}

const run = promisify(execFile)
export const repository = new URL('../../..', import.meta.url).pathname

/**
 * Packs the package, unpacks it beside the dependencies that it names and no others, and tells the tests where. There is no
 * network: what `npm install` would fetch is linked from the repository's own `node_modules`.
 */
export default async function install({ provide }: TestProject): Promise<() => Promise<void>> {
  if (!existsSync(join(repository, 'dist/bin/qmesh-node.js'))) {
    throw new Error('the examples run the built package: npm run build')
  }
  const folder = await realpath(await mkdtemp(join(tmpdir(), 'qmesh-install-')))
  const modules = join(folder, 'node_modules')
  await mkdir(join(modules, '.bin'), { recursive: true })
  const packing = ['pack', '--ignore-scripts', '--silent', '--pack-destination', folder]
  await run('npm', packing, { cwd: repository })
  const tarball = (await readdir(folder)).find((file) => file.endsWith('.tgz')) ?? ''
  await run('tar', ['-xzf', tarball], { cwd: folder })
  await rename(join(folder, 'package'), join(modules, 'qmesh'))
  const { dependencies, bin } = JSON.parse(
    await readFile(join(modules, 'qmesh/package.json'), 'utf8'),
  ) as Record<'dependencies' | 'bin', Readonly<Record<string, string>>>
  await linkPackages(modules, Object.keys(dependencies))
  for (const [name, file] of Object.entries(bin)) {
    await run('chmod', ['+x', join(modules, 'qmesh', file)])
    await symlink(join('../qmesh', file), join(modules, '.bin', name))
  }
  provide('installedIn', folder)
  return () => rm(folder, { recursive: true, force: true })
}

/** @param modules a folder `node_modules` */
export async function linkPackages(modules: string, names: readonly string[]): Promise<void> {
  for (const name of names) {
    const target = join(repository, 'node_modules', name)
    if (!existsSync(target)) throw new Error(`"${name}" is not installed in the repository`)
    await mkdir(dirname(join(modules, name)), { recursive: true })
    await symlink(target, join(modules, name))
  }
}
