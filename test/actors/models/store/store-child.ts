import { readFileSync } from 'node:fs'
import { ModelStore } from '../../../../actors/models/store/model-store.ts'
import { QMeshError } from '../../../../protocol/index.ts'
import { blockBytes } from '../../../../protocol/models/index.ts'

/**
 * What another process does to a store. Arguments: what, the folder of the store, a key or hash, and a file.
 *   fill   writes the file block by block, a line with the number of bytes after each that is done, until it is killed
 *   keep   takes the lock of a key, and a hold of the model in the place of the file, says so, and waits to be killed
 */
const [what = '', dir = '', key = '', file = ''] = process.argv.slice(2)
const say = (text: string | number): void => void process.stdout.write(`${text}\n`)

// A limit of file sizes shall be an error, and not the end.
if (process.platform !== 'win32') process.on('SIGXFSZ', () => undefined)

const store = await ModelStore.open({ dir })
try {
  if (what === 'fill') {
    const bytes = readFileSync(file)
    const partial = await store.partial(key, bytes.length)
    for (let start = 0; start < bytes.length; start += blockBytes) {
      await partial.write(start, bytes.subarray(start, start + blockBytes))
      say(partial.doneBytes)
    }
    say('all')
  } else if (what === 'keep') {
    await store.hold(file)
    await store.partial(key, 1_000)
    say('kept')
  }
} catch (error) {
  say(error instanceof QMeshError ? error.code : String(error))
}
// Until it is killed.
setInterval(() => undefined, 60_000)
