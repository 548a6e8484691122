import type { AddCommand } from '../command.ts'
import type { AddModelCommand } from '../model-commands.ts'
import { addAdd } from './models/add.ts'
import { addCache } from './models/cache.ts'
import { addInfo } from './models/info.ts'
import { addList } from './models/list.ts'
import { addPin } from './models/pin.ts'
import { addPublish } from './models/publish.ts'
import { addPull } from './models/pull.ts'
import { addRepair } from './models/repair.ts'
import { addRm } from './models/rm.ts'
import { addSearch } from './models/search.ts'
import { addSeed } from './models/seed.ts'
import { addSign } from './models/sign.ts'
import { addTrust } from './models/trust.ts'
import { addVerify } from './models/verify.ts'

const examples = `
Examples:
  qmesh-node models search llama
  qmesh-node models info llama-3.2-1b-instruct
  qmesh-node models pull llama-3.2-1b-instruct
  qmesh-node models add ~/models/my-model.gguf --id my-model
  qmesh-node models verify my-model
  qmesh-node models cache --prune --limit-gb 20

All of them work beside a running node. docs/MODELS.md tells how to publish a model of your own.`

/** The order of --help. */
const subcommands: readonly AddModelCommand[] = [
  addList,
  addSearch,
  addInfo,
  addPull,
  addAdd,
  addVerify,
  addRepair,
  addRm,
  addPin,
  addSeed,
  addPublish,
  addSign,
  addTrust,
  addCache,
]

export const addModels: AddCommand = (program, exit) => {
  const models = program
    .command('models')
    .description('find, fetch, add, check, publish and remove models')
    .addHelpText('after', examples)
  for (const add of subcommands) add(models, exit)
}
