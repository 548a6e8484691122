import { z } from 'zod'
import { parseQuietHours } from '../../machines/duty/index.ts'
import { genesisParams } from '../../machines/trust/params.ts'
import { limits, modelHashSchema, modelIdSchema, peerIdSchema } from '../../protocol/index.ts'
import { modelLimits } from '../../protocol/models/limits.ts'
import { parseHostPort } from './host-port.ts'
import { defaultDataDir, isModelId, isModelPath, toAbsolutePath } from './paths.ts'

/** How a value written as text (a variable, a flag) becomes a value. */
export type TextKind = 'text' | 'integer' | 'number' | 'boolean' | 'list'

interface KeyEntry<Schema extends z.ZodType> {
  readonly schema: Schema
  readonly kind: TextKind
  /** One sentence for people. */
  readonly doc: string
  /** What a valid value is, to complete "must be …". */
  readonly expects: string
  /** The same for one element of a list. */
  readonly expectsEach?: string
  /** Absent when leaving the key out means something else than a value; `defaultText` then says what. */
  readonly default?: () => z.output<Schema>
  readonly defaultText?: string
  /** The flag as commander wants it; derived from the key when absent. */
  readonly flag: string
  /** A line of TOML for the example file. */
  readonly example: string
  /** Never shown, not even in an error. */
  readonly isSecret?: boolean
  /** Makes paths absolute: relative ones start at the folder of the file, or where the command runs. */
  readonly resolve?: (value: z.output<Schema>, baseDir: string) => z.output<Schema>
}

const key = <Schema extends z.ZodType>(entry: KeyEntry<Schema>): KeyEntry<Schema> => entry

const path = z.string().min(1).max(4_096)
const whole = (min: number, max: number) => z.number().int().min(min).max(max)
/** Megabytes a second. */
const rate = z.number().min(0.01).max(100_000)
const slots = whole(1, limits.slotsMax)
const contextTokens = whole(128, limits.contextTokensMax)
// Control characters in a name would reach other people's terminals.
const printable = /^[^\p{Cc}\p{Cf}]+$/u

/** Secrets do not belong into it: addresses are shown. */
function isPlainUrl(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, username, password, search, hash } = new URL(text)
  return ['http:', 'https:'].includes(protocol) && `${username}${password}${search}${hash}` === ''
}

const modelSchema = z.union([
  path.refine((text) => isModelPath(text) || isModelId(text)),
  z.strictObject({
    id: modelIdSchema.optional(),
    path,
    contextTokens: contextTokens.optional(),
    slots: slots.optional(),
    load: z.enum(['start', 'demand']).optional(),
    pinned: z.boolean().optional(),
    keepLoaded: whole(0, 86_400).optional(),
    sha256: modelHashSchema.optional(),
  }),
])

/** Every key of the configuration: the schema, the documentation, the flags and the variables all come from here. */
export const configKeys = {
  dataDir: key({
    schema: path,
    kind: 'text',
    doc: 'Folder of the identity, the lock, the control socket and everything the node remembers.',
    expects: 'a folder',
    default: defaultDataDir,
    defaultText: "the platform's data folder",
    flag: '--data-dir <folder>',
    example: 'dataDir = "~/.local/share/qmesh"',
    resolve: toAbsolutePath,
  }),
  models: key({
    schema: z.array(modelSchema).max(limits.modelsMax),
    kind: 'list',
    doc: 'Models to load: each a path of a GGUF file, `nano` for the small built-in one, or a table with `path` and, if wanted, `id`, `contextTokens`, `slots`, `load`, `pinned`, `keepLoaded` and `sha256`.',
    expects: `a list of at most ${limits.modelsMax} models`,
    expectsEach: 'a path, an id of lower case letters, digits, ".", "-" and "_", or a table with a "path"',
    default: () => ['nano'],
    defaultText: '`["nano"]`, or none beside an `engine` that is another program',
    flag: '--model <path-or-id>',
    example: 'models = ["~/models/smollm2-135m-instruct.gguf"]',
    resolve: (models, baseDir) =>
      models.map((model) => {
        if (typeof model !== 'string') return { ...model, path: toAbsolutePath(model.path, baseDir) }
        return isModelPath(model) ? toAbsolutePath(model, baseDir) : model
      }),
  }),
  engine: key({
    schema: z.enum(['llama', 'openai']),
    kind: 'text',
    doc: "What runs models: `llama` runs files in this node; `openai` adds a model that another program runs, such as Ollama, LM Studio or llama-server, by OpenAI's API.",
    expects: '"llama" or "openai"',
    default: () => 'llama' as const,
    flag: '--engine <engine>',
    example: 'engine = "openai"',
  }),
  engineUrl: key({
    schema: z.string().max(2_048).refine(isPlainUrl).optional(),
    kind: 'text',
    doc: 'Where that program answers: what stands before `/chat/completions` in its addresses. Every prompt goes there.',
    expects: 'an address without a name, a password, a query or a fragment, like http://127.0.0.1:11434/v1',
    defaultText: 'none; needed with `engine = "openai"`',
    flag: '--engine-url <url>',
    example: 'engineUrl = "http://127.0.0.1:11434/v1"',
  }),
  engineModel: key({
    schema: z.string().min(1).max(256).regex(printable).optional(),
    kind: 'text',
    doc: 'The model, as that program calls it. The mesh calls it the same in lower case, with "-" for what is no letter, digit, ".", "-" or "_".',
    expects: '1 to 256 printable characters',
    defaultText: 'none; needed with `engine = "openai"`',
    flag: '--engine-model <name>',
    example: 'engineModel = "llama3.2:3b"',
  }),
  engineKey: key({
    schema: z
      .string()
      .regex(/^[!-~]{1,1024}$/)
      .optional(),
    kind: 'text',
    doc: 'API key that the program wants. Prefer the file or the variable to the flag, which other users of the machine can see.',
    expects: '1 to 1024 printable characters without blanks',
    defaultText: 'none',
    flag: '--engine-key <key>',
    example: 'engineKey = "sk-0123456789"',
    isSecret: true,
  }),
  engineSlots: key({
    schema: whole(1, 64).optional(),
    kind: 'integer',
    doc: 'Requests that the program answers at once. With more than it does, they wait in it where nobody sees them.',
    expects: 'a whole number from 1 to 64',
    defaultText: '`1`',
    flag: '--engine-slots <number>',
    example: 'engineSlots = 4',
  }),
  engineContext: key({
    schema: contextTokens.optional(),
    kind: 'integer',
    doc: 'Tokens of its context, prompt and answer together. The program decides; this is what is promised to others.',
    expects: `a whole number from 128 to ${limits.contextTokensMax}`,
    defaultText: '`4096`',
    flag: '--engine-context <number>',
    example: 'engineContext = 8192',
  }),
  memoryBudget: key({
    schema: whole(1, 100_000_000).optional(),
    kind: 'integer',
    doc: 'Megabytes (of 1,048,576 bytes) that loaded models may take together. Those that do not fit are loaded when a request waits for them, and the least recently used one that has nothing to do makes room.',
    expects: 'a whole number from 1 to 100000000',
    defaultText:
      'no bound; nine tenths of the memory that is free at the start if a model has `load = "demand"`',
    flag: '--memory-budget <megabytes>',
    example: 'memoryBudget = 16384',
  }),
  modelsDir: key({
    schema: path.optional(),
    kind: 'text',
    doc: 'Folder of the models that were fetched or added. Several data directories may share one.',
    expects: 'a folder',
    defaultText: '`models` in the data directory',
    flag: '--models-dir <folder>',
    example: 'modelsDir = "~/qmesh-models"',
    resolve: (dir, baseDir) => dir && toAbsolutePath(dir, baseDir),
  }),
  modelsCacheGb: key({
    schema: whole(1, 1_000_000).optional(),
    kind: 'integer',
    doc: 'Gigabytes (of 1,000,000,000 bytes) that the folder of models may take. When a new one needs the room, what was not used for longest goes; never what is pinned, loaded or lies elsewhere.',
    expects: 'a whole number from 1 to 1000000',
    defaultText: 'no limit',
    flag: '--models-cache-gb <number>',
    example: 'modelsCacheGb = 50',
  }),
  trustedPublishers: key({
    schema: z.array(z.string().toLowerCase().pipe(peerIdSchema)).max(modelLimits.publishersMax),
    kind: 'list',
    doc: 'Keys whose model manifests and catalogs count, the most trusted first; `qmesh-node models trust` adds more. The own key always counts.',
    expects: `a list of at most ${modelLimits.publishersMax} keys`,
    expectsEach: 'a key of 64 hex characters',
    default: () => [],
    defaultText: 'none',
    flag: '--trusted-publisher <key>',
    example: 'trustedPublishers = []',
  }),
  modelsSeed: key({
    schema: z.boolean(),
    kind: 'boolean',
    doc: 'Whether the models of this machine are offered to other nodes, from where they lie.',
    expects: 'true or false',
    default: () => true,
    flag: '--models-seed',
    example: 'modelsSeed = true',
  }),
  modelsUploadRate: key({
    schema: rate.optional(),
    kind: 'number',
    doc: 'Megabytes (of 1,000,000 bytes) a second of models that are given to others, all together.',
    expects: 'a number from 0.01 to 100000',
    defaultText: 'no limit',
    flag: '--models-upload-rate <MB/s>',
    example: 'modelsUploadRate = 2.5',
  }),
  modelsDownloadRate: key({
    schema: rate.optional(),
    kind: 'number',
    doc: 'Megabytes (of 1,000,000 bytes) a second of models that are fetched, from all sources together.',
    expects: 'a number from 0.01 to 100000',
    defaultText: 'no limit',
    flag: '--models-download-rate <MB/s>',
    example: 'modelsDownloadRate = 10',
  }),
  modelsPeersMax: key({
    schema: whole(1, 1_000),
    kind: 'integer',
    doc: 'Peers that models are given to at the same time; whoever comes later gets a place when one is free.',
    expects: 'a whole number from 1 to 1000',
    default: () => 32,
    flag: '--models-peers-max <number>',
    example: 'modelsPeersMax = 32',
  }),
  modelsSeeders: key({
    schema: z.array(z.string().toLowerCase().pipe(peerIdSchema)).max(10_000),
    kind: 'list',
    doc: 'Ids of the only peers that models are taken from. Empty: from anybody, for every block is proven.',
    expects: 'a list of at most 10000 ids',
    expectsEach: 'an id of 64 hex characters',
    default: () => [],
    defaultText: 'anybody',
    flag: '--models-seeder <id>',
    example: 'modelsSeeders = []',
  }),
  serveAll: key({
    schema: z.boolean().optional(),
    kind: 'boolean',
    doc: 'Whether every model in `modelsDir` is served, also one that is fetched while the node runs: each is loaded when a request waits for it, beside those that `models` names.',
    expects: 'true or false',
    defaultText: '`true` where `models` names none, so that the node is free to choose',
    flag: '--serve-all',
    example: 'serveAll = true',
  }),
  serve: key({
    schema: z.boolean(),
    kind: 'boolean',
    doc: 'Whether other peers may use the loaded models; when off they answer this machine only.',
    expects: 'true or false',
    default: () => true,
    flag: '--serve',
    example: 'serve = true',
  }),
  name: key({
    schema: z.string().min(1).max(64).regex(printable).optional(),
    kind: 'text',
    doc: 'A name for people, shown beside the id and never instead of it.',
    expects: '1 to 64 printable characters',
    defaultText: 'none',
    flag: '--name <name>',
    example: 'name = "living-room"',
  }),
  bootstrap: key({
    schema: z.array(z.string().refine((text) => parseHostPort(text) !== undefined)).max(64),
    kind: 'list',
    doc: 'DHT nodes to start from, instead of the public ones: for a private, a test or an offline mesh.',
    expects: 'a list of at most 64 addresses',
    expectsEach: 'host:port, like 192.168.1.5:49737',
    default: () => [],
    defaultText: 'the public DHT',
    flag: '--bootstrap <host:port>',
    example: 'bootstrap = ["192.168.1.5:49737"]',
  }),
  host: key({
    schema: z.union([z.ipv4(), z.literal('localhost')]).optional(),
    kind: 'text',
    doc: 'Address of the network interface to use. `127.0.0.1` keeps a test mesh on this machine.',
    expects: 'an IPv4 address of this machine',
    defaultText: 'all interfaces, or loopback when every bootstrap is there',
    flag: '--host <address>',
    example: 'host = "192.168.1.20"',
  }),
  port: key({
    schema: whole(0, 65_535),
    kind: 'integer',
    doc: 'UDP port of the DHT node; 0 takes 49738, or a free one where that is taken.',
    expects: 'a whole number from 0 to 65535',
    default: () => 0,
    flag: '--port <number>',
    example: 'port = 49737',
  }),
  secret: key({
    schema: z.string().min(8).max(256).optional(),
    kind: 'text',
    doc: 'Secret of a private mesh: only nodes with the same one find each other. Prefer the file or the variable to the flag, which other users of the machine can see.',
    expects: '8 to 256 characters',
    defaultText: 'none: the open mesh',
    flag: '--secret <secret>',
    example: 'secret = "correct horse battery staple"',
    isSecret: true,
  }),
  allow: key({
    schema: z.array(z.string().toLowerCase().pipe(peerIdSchema)).max(10_000),
    kind: 'list',
    doc: 'Ids of the only peers to talk to. Empty allows everyone.',
    expects: 'a list of at most 10000 ids',
    expectsEach: 'an id of 64 hex characters',
    default: () => [],
    defaultText: 'everyone',
    flag: '--allow <id>',
    example: 'allow = []',
  }),
  deny: key({
    schema: z.array(z.string().toLowerCase().pipe(peerIdSchema)).max(10_000),
    kind: 'list',
    doc: 'Ids of peers never to talk to, even when they are allowed.',
    expects: 'a list of at most 10000 ids',
    expectsEach: 'an id of 64 hex characters',
    default: () => [],
    defaultText: 'nobody',
    flag: '--deny <id>',
    example: 'deny = []',
  }),
  mdns: key({
    schema: z.boolean(),
    kind: 'boolean',
    doc: 'Whether to look for nodes on the local network by multicast DNS.',
    expects: 'true or false',
    default: () => true,
    flag: '--mdns',
    example: 'mdns = true',
  }),
  slots: key({
    schema: slots.optional(),
    kind: 'integer',
    doc: 'Requests that one model answers at once.',
    expects: `a whole number from 1 to ${limits.slotsMax}`,
    defaultText: 'from memory: at most 4 on a CPU, 8 on a GPU',
    flag: '--slots <number>',
    example: 'slots = 4',
  }),
  contextTokens: key({
    schema: contextTokens.optional(),
    kind: 'integer',
    doc: "Tokens of one slot's context, prompt and answer together.",
    expects: `a whole number from 128 to ${limits.contextTokensMax}`,
    defaultText: 'what the model was trained for, at most 4096, less if memory is short',
    flag: '--context-tokens <number>',
    example: 'contextTokens = 4096',
  }),
  gpuLayers: key({
    schema: whole(-1, 10_000),
    kind: 'integer',
    doc: 'Layers of each model to put on the GPU: -1 (or `auto` in a variable or flag) as many as fit, 0 none. The plain variable `GPU_LAYERS` is honoured too.',
    expects: 'a whole number from -1 to 10000',
    default: () => -1,
    flag: '--gpu-layers <number>',
    example: 'gpuLayers = -1',
  }),
  threads: key({
    schema: whole(1, 1_024).optional(),
    kind: 'integer',
    doc: 'Most processor cores that inference may use, all models together.',
    expects: 'a whole number from 1 to 1024',
    defaultText: 'all cores that are good at arithmetic',
    flag: '--threads <number>',
    example: 'threads = 4',
  }),
  mlock: key({
    schema: z.boolean(),
    kind: 'boolean',
    doc: 'Whether to keep the weights from being swapped out.',
    expects: 'true or false',
    default: () => false,
    flag: '--mlock',
    example: 'mlock = false',
  }),
  queueCapacity: key({
    schema: whole(1, limits.queueLengthMax),
    kind: 'integer',
    doc: 'Requests of others that may wait here when the machine is idle; it shrinks as the machine gets busy.',
    expects: `a whole number from 1 to ${limits.queueLengthMax}`,
    default: () => 128,
    flag: '--queue-capacity <number>',
    example: 'queueCapacity = 128',
  }),
  pauseWhenBusy: key({
    schema: z.boolean(),
    kind: 'boolean',
    doc: 'Whether other programs that keep this machine busy make the node take fewer requests of others, and in the end none.',
    expects: 'true or false',
    default: () => true,
    flag: '--pause-when-busy',
    example: 'pauseWhenBusy = true',
  }),
  quietHours: key({
    schema: z.array(z.string().refine((text) => parseQuietHours(text) !== undefined)).max(16),
    kind: 'list',
    doc: 'Parts of the day, local time, in which the node takes no requests of others. They may run over midnight; `00:00-24:00` is all day, and one that ends where it begins is refused.',
    expects: 'a list of at most 16 parts of the day',
    expectsEach: 'HH:MM-HH:MM, like 22:00-07:00',
    default: () => [],
    defaultText: 'none',
    flag: '--quiet-hours <from-to>',
    example: 'quietHours = ["22:00-07:00"]',
  }),
  batteryMin: key({
    schema: whole(0, 100),
    kind: 'integer',
    doc: 'Percent of battery below which a machine without mains takes no requests of others, until it has 5 more or is plugged in; 0 switches it off, 100 keeps to mains. Batteries are read on Linux only so far.',
    expects: 'a whole number from 0 to 100',
    default: () => 30,
    flag: '--battery-min <percent>',
    example: 'batteryMin = 30',
  }),
  drainSeconds: key({
    schema: whole(0, 3_600),
    kind: 'integer',
    doc: 'Seconds that running answers have, when the node stops, to move to another worker or to finish.',
    expects: 'a whole number from 0 to 3600',
    default: () => 8,
    flag: '--drain-seconds <number>',
    example: 'drainSeconds = 8',
  }),
  epochSeconds: key({
    schema: whole(1, 3_600),
    kind: 'integer',
    doc: 'Seconds of one epoch of the scores. A rule of the mesh: nodes with another value keep scores of their own.',
    expects: 'a whole number from 1 to 3600',
    default: () => genesisParams.epochSeconds,
    flag: '--epoch-seconds <number>',
    example: 'epochSeconds = 60',
  }),
  stampBits: key({
    schema: whole(0, 16),
    kind: 'integer',
    doc: 'Effort that a new account costs, once: 2 to this power times a tenth of a second of work. A rule of the mesh, too; 0 suits a private mesh whose members know each other.',
    expects: 'a whole number from 0 to 16',
    default: () => genesisParams.stampBits,
    flag: '--stamp-bits <number>',
    example: 'stampBits = 8',
  }),
  gateway: key({
    schema: z.boolean().optional(),
    kind: 'boolean',
    doc: "Whether programs can ask this node over HTTP, by OpenAI's API. When it is switched on by name, a port that is taken keeps the node from starting.",
    expects: 'true or false',
    defaultText: 'on for `qmesh-node up`, off in code',
    flag: '--gateway',
    example: 'gateway = true',
  }),
  gatewayHost: key({
    schema: z.union([z.ipv4(), z.ipv6(), z.literal('localhost')]),
    kind: 'text',
    doc: 'Address the gateway listens on. Any that other machines can reach demands `gatewayKeys`.',
    expects: 'an IP address of this machine',
    default: () => '127.0.0.1',
    flag: '--gateway-host <address>',
    example: 'gatewayHost = "127.0.0.1"',
  }),
  gatewayPort: key({
    schema: whole(0, 65_535),
    kind: 'integer',
    doc: 'TCP port of the gateway; 0 takes a free one.',
    expects: 'a whole number from 0 to 65535',
    default: () => 11_500,
    flag: '--gateway-port <number>',
    example: 'gatewayPort = 11500',
  }),
  gatewayKeys: key({
    schema: z.array(z.string().regex(/^[!-+\--~]{16,256}$/)).max(100),
    kind: 'list',
    doc: 'API keys, any of which opens the gateway. Empty: everybody on this machine may use it. Prefer the file or the variable to the flag, which other users of the machine can see.',
    expects: 'a list of at most 100 keys',
    expectsEach: '16 to 256 printable characters without blanks and commas',
    default: () => [],
    defaultText: 'none',
    flag: '--gateway-key <key>',
    example: 'gatewayKeys = ["correct-horse-battery-staple"]',
    isSecret: true,
  }),
  gatewayOrigins: key({
    schema: z.array(z.string().regex(/^https?:\/\/[a-z0-9.-]+(:\d{1,5})?$/i)).max(100),
    kind: 'list',
    doc: 'Web pages from elsewhere whose scripts may use the gateway.',
    expects: 'a list of at most 100 origins',
    expectsEach: 'the beginning of an address, like http://localhost:5173',
    default: () => [],
    defaultText: 'none',
    flag: '--gateway-origin <origin>',
    example: 'gatewayOrigins = ["http://localhost:5173"]',
  }),
  tracesEndpoint: key({
    schema: z.string().max(2_048).refine(isPlainUrl).optional(),
    kind: 'text',
    doc: 'Where traces of requests go, by OTLP over HTTP with JSON: the whole address. With it, workers are told which trace a prompt belongs to.',
    expects:
      'an address without a name, a password, a query or a fragment, like http://127.0.0.1:4318/v1/traces',
    defaultText: 'none: nothing is traced; see `OTEL_EXPORTER_OTLP_ENDPOINT` below',
    flag: '--traces-endpoint <url>',
    example: 'tracesEndpoint = "http://127.0.0.1:4318/v1/traces"',
  }),
  logLevel: key({
    schema: z.enum(['trace', 'debug', 'info', 'warn', 'error', 'fatal', 'silent']),
    kind: 'text',
    doc: 'Least severe log lines to write. No prompt text is written at `info` or above.',
    expects: 'one of trace, debug, info, warn, error, fatal, silent',
    default: () => 'info' as const,
    flag: '--log-level <level>',
    example: 'logLevel = "info"',
  }),
  logFile: key({
    schema: path.optional(),
    kind: 'text',
    doc: 'File to append log lines to, as JSON.',
    expects: 'a file',
    defaultText: 'standard error',
    flag: '--log-file <file>',
    example: 'logFile = "~/qmesh.log"',
    resolve: (file, baseDir) => file && toAbsolutePath(file, baseDir),
  }),
} as const

/** What must stand in the fields of a model's table. */
export const modelFields: Readonly<Record<string, string>> = {
  id: 'lower case letters, digits, ".", "-" and "_", starting with a letter or digit',
  path: 'the path of a GGUF file',
  contextTokens: configKeys.contextTokens.expects,
  slots: configKeys.slots.expects,
  load: '"start" or "demand"',
  pinned: 'true or false',
  keepLoaded: 'a whole number of seconds from 0 to 86400',
  sha256: '64 hex characters in lower case',
}

export type ConfigKey = keyof typeof configKeys
export const configKeyNames = Object.keys(configKeys) as ConfigKey[]

/** The configuration a node runs with: every key has its value or, where leaving it out has a meaning, `undefined`. */
export type Config = {
  readonly [Key in ConfigKey]: z.output<(typeof configKeys)[Key]['schema']>
}

/** What a caller may give: any part of it. */
export type ConfigInput = {
  readonly [Key in ConfigKey]?: z.input<(typeof configKeys)[Key]['schema']> | undefined
}

/** `dataDir` → `QMESH_DATA_DIR`. */
export const toVariable = (name: ConfigKey): string =>
  `QMESH_${name.replaceAll(/[A-Z]/g, (letter) => `_${letter}`).toUpperCase()}`

/** `models` → `--model`. */
export const toFlag = (name: ConfigKey): string => configKeys[name].flag.split(' ', 1)[0] ?? ''
