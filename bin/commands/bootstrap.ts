import type { AddCommand } from '../command.ts'
import { listenForShutdown } from '../../runtime/shutdown.ts'
import { addConfigFlags, loadCommandConfig } from '../options.ts'
import { note, output } from '../output.ts'
import { programName } from '../program-name.ts'

const keys = ['host', 'port', 'mdns'] as const

const examples = `
Examples:
  qmesh-node bootstrap                       on a local network without internet
  qmesh-node bootstrap --host 127.0.0.1      a mesh on this machine only
  qmesh-node bootstrap --host 203.0.113.7 --port 49737

It stores where nodes are, and sees neither prompts nor answers. Without --port it takes 49737.`

export const addBootstrap: AddCommand = (program, exit) => {
  const command = program
    .command('bootstrap')
    .description('start a DHT node that others join by, for a private or an offline mesh')
    .option('--json', 'print the address as one JSON document')
    .addHelpText('after', examples)
  addConfigFlags(command, keys).action(async (flags: { json?: boolean }) => {
    const { config, origins } = await loadCommandConfig(command, keys)
    const { createBootstrap } = await import('../../runtime/index.ts')
    const starting = createBootstrap({
      host: config.host,
      port: origins.port.kind === 'default' ? undefined : config.port,
      mdns: config.mdns,
    })
    const shutdown = listenForShutdown({
      stop: async () => (await starting).close(),
      deadlineMs: 5_000,
      onFailure: ({ message }) => note(`stopping failed: ${message}`),
    })
    try {
      const { address } = await starting
      const bootstrap = `${address.host}:${address.port}`
      if (flags.json) await output.json({ ...address, bootstrap })
      else
        await output.line(
          `${bootstrap}\n\nothers join with:\n  ${programName()} up --bootstrap ${bootstrap}\nstop it with Ctrl-C`,
        )
      exit(await shutdown.stopped)
    } finally {
      shutdown.dispose()
    }
  })
}
