import { openDataDir } from '../../../runtime/data-dir.ts'

/** A process that holds the lock of a data directory until it is killed. */
await openDataDir(process.argv[2] ?? '')
process.send?.('locked')
setInterval(() => undefined, 60_000)
