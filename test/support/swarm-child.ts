import { parseNodeAddress } from '../../actors/swarm/index.ts'
import { startSwarm } from './swarm-rig.ts'

/** A process that joins the mesh, leaves it, and then has nothing left to do. */
const worker = startSwarm({
  roles: ['worker', 'client'],
  bootstrap: [parseNodeAddress(process.argv[2] ?? '')],
})
await worker.until('swarm.state', ({ state }) => state === 'online')
process.stdout.write('online\n')
await worker.stop()
process.stdout.write('stopped\n')
