/** Reads a small text file; undefined when there is none or it may not be read. */
export type ReadText = (path: string) => Promise<string | undefined>

/** The limits this process lives under and what its group uses; a field is absent where there is no limit. */
export interface CgroupUsage {
  readonly cpu?: { readonly cores: number; readonly usedMs: number } | undefined
  /** `usedBytes` without file pages that can be dropped at any time. */
  readonly memory?: { readonly limitBytes: number; readonly usedBytes: number } | undefined
}

const root = '/sys/fs/cgroup'

/** A limit at or above this is the kernel's way of saying "none". */
const noLimitBytes = 2 ** 60

const toNumber = (text: string | undefined): number | undefined => {
  const value = text === undefined ? Number.NaN : Number(text.trim())
  return Number.isFinite(value) && text?.trim() !== '' ? value : undefined
}

/** The number after `key` in a file of `key value` lines. */
export const valueOf = (text: string | undefined, key: string): number | undefined =>
  toNumber(
    text
      ?.split('\n')
      .find((line) => line.startsWith(`${key} `))
      ?.slice(key.length + 1),
  )

/**
 * The folders of a group and its parents, innermost first: a limit may stand at any of them. Inside a container the path
 * of the host does not exist, and the folder at the top is the container's own.
 */
function foldersOf(base: string, path: string): string[] {
  const names = path.split('/').filter((name) => name !== '' && name !== '..')
  return Array.from({ length: names.length + 1 }, (_, up) =>
    [base, ...names.slice(0, names.length - up)].join('/'),
  )
}

/** Version 1 and 2 of control groups, whichever holds the tighter limit. Without either, an empty answer. */
export async function readCgroup(readText: ReadText): Promise<CgroupUsage> {
  const membership = await readText('/proc/self/cgroup')
  if (membership === undefined) return {}
  const paths = new Map(
    membership.split('\n').flatMap((line) => {
      const [hierarchy, controllers, ...path] = line.split(':')
      if (!hierarchy || controllers === undefined) return []
      return controllers.split(',').map((controller): [string, string] => [controller, path.join(':')])
    }),
  )
  const unified = foldersOf(root, paths.get('') ?? '/')
  const [cpus, memories] = await Promise.all([
    Promise.all([
      ...unified.map((folder) => cpuOfV2(readText, folder)),
      ...foldersOf(`${root}/cpu`, paths.get('cpu') ?? '/').map((folder) => cpuOfV1(readText, folder)),
    ]),
    Promise.all([
      ...unified.map((folder) => memoryOfV2(readText, folder)),
      ...foldersOf(`${root}/memory`, paths.get('memory') ?? '/').map((folder) =>
        memoryOfV1(readText, folder),
      ),
    ]),
  ])
  return {
    cpu: tightest(cpus, ({ cores }) => cores),
    memory: tightest(memories, ({ limitBytes }) => limitBytes),
  }
}

function tightest<T>(limits: readonly (T | undefined)[], of: (limit: T) => number): T | undefined {
  let best: T | undefined
  for (const limit of limits) {
    if (limit !== undefined && (best === undefined || of(limit) < of(best))) best = limit
  }
  return best
}

async function cpuOfV2(readText: ReadText, folder: string): Promise<CgroupUsage['cpu']> {
  const [quota, period] = (await readText(`${folder}/cpu.max`))?.trim().split(' ') ?? []
  const quotaUs = toNumber(quota)
  const periodUs = toNumber(period)
  if (quotaUs === undefined || periodUs === undefined || quotaUs <= 0 || periodUs <= 0) return undefined
  const usedUs = valueOf(await readText(`${folder}/cpu.stat`), 'usage_usec')
  return usedUs === undefined ? undefined : { cores: quotaUs / periodUs, usedMs: usedUs / 1_000 }
}

async function cpuOfV1(readText: ReadText, folder: string): Promise<CgroupUsage['cpu']> {
  const quotaUs = toNumber(await readText(`${folder}/cpu.cfs_quota_us`))
  const periodUs = toNumber(await readText(`${folder}/cpu.cfs_period_us`))
  if (quotaUs === undefined || periodUs === undefined || quotaUs <= 0 || periodUs <= 0) return undefined
  const usedNs = toNumber(await readText(`${folder.replace('/cpu', '/cpuacct')}/cpuacct.usage`))
  return usedNs === undefined ? undefined : { cores: quotaUs / periodUs, usedMs: usedNs / 1e6 }
}

async function memoryOfV2(readText: ReadText, folder: string): Promise<CgroupUsage['memory']> {
  const limitBytes = toNumber(await readText(`${folder}/memory.max`))
  if (limitBytes === undefined || limitBytes <= 0 || limitBytes >= noLimitBytes) return undefined
  const used = toNumber(await readText(`${folder}/memory.current`)) ?? 0
  const droppable = valueOf(await readText(`${folder}/memory.stat`), 'inactive_file') ?? 0
  return { limitBytes, usedBytes: Math.max(0, used - droppable) }
}

async function memoryOfV1(readText: ReadText, folder: string): Promise<CgroupUsage['memory']> {
  const limitBytes = toNumber(await readText(`${folder}/memory.limit_in_bytes`))
  if (limitBytes === undefined || limitBytes <= 0 || limitBytes >= noLimitBytes) return undefined
  const used = toNumber(await readText(`${folder}/memory.usage_in_bytes`)) ?? 0
  const droppable = valueOf(await readText(`${folder}/memory.stat`), 'total_inactive_file') ?? 0
  return { limitBytes, usedBytes: Math.max(0, used - droppable) }
}
