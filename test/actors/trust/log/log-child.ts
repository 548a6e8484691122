import { writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { LogCounter, LogMark } from '../../../../actors/trust/log/log-counter.ts'
import { LogStore } from '../../../../actors/trust/log/log-store.ts'
import { QMeshError } from '../../../../protocol/index.ts'
import { makeKeyPair } from './log-rig.ts'

/**
 * A process that appends entries of a given size, three at a time, and says the length after each acknowledgement:
 * `log-child.ts FOLDER SEED_HEX BYTES COUNT`.
 */
const [folder = '', seed = '', bytes = '', count = ''] = process.argv.slice(2)

const counter: LogCounter = {
  read: async () => undefined,
  write: async (mark: LogMark) => writeFileSync(join(folder, '..', 'mark.json'), JSON.stringify(mark)),
}
const store = await LogStore.open(folder)
const log = await store.own(makeKeyPair(Buffer.from(seed, 'hex')), counter)
const toEntry = (index: number): Buffer => Buffer.alloc(Number(bytes), `entry ${index} `)
process.stdout.write(`opened ${log.length}\n`)
let failures = 0
for (let index = log.length; index < Number(count) && failures < 3; index += 3) {
  const asked = [0, 1, 2].map(async (offset) => log.append([toEntry(index + offset)]))
  for (const result of await Promise.allSettled(asked)) {
    if (result.status === 'fulfilled') process.stdout.write(`acknowledged ${result.value}\n`)
    else {
      failures++
      process.stdout.write(`failed ${(result.reason as QMeshError).code} ${String(result.reason)}\n`)
    }
  }
}
await store.close()
process.stdout.write('closed\n')
