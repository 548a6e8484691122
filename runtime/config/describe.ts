import { exitCodes } from '../exit-codes.ts'
import { configKeyNames, configKeys, toFlag, toVariable, type ConfigKey } from './keys.ts'

/** A value as a person may see it: a secret is not shown, nor how long it is; that there is none is. */
export function shownValue(key: ConfigKey, value: unknown): unknown {
  const isSecret = 'isSecret' in configKeys[key]
  const isNone = value === undefined || (Array.isArray(value) && value.length === 0)
  return isSecret && !isNone ? '(hidden)' : value
}

function defaultText(key: ConfigKey): string {
  const entry = configKeys[key]
  if ('defaultText' in entry) return entry.defaultText
  return `\`${JSON.stringify('default' in entry ? entry.default() : undefined)}\``
}

/** A configuration file with every key explained and none set. */
export function renderExampleFile(): string {
  const entries = configKeyNames.map((key) => {
    const { doc, expects, example } = configKeys[key]
    return `# ${doc}\n# Must be ${expects}. Default: ${defaultText(key).replaceAll('`', '')}.\n# ${example}\n`
  })
  return `# The configuration of a QMesh node. Remove the "# " before a key to set it.\n\n${entries.join('\n')}`
}

/** `docs/CONFIG.md`. */
export function renderConfigDocs(): string {
  const cell = (text: string): string => text.replaceAll('|', String.raw`\|`)
  const rows = configKeyNames.map((key) => {
    const { doc, expects } = configKeys[key]
    const each = 'expectsEach' in configKeys[key] ? `, each ${configKeys[key].expectsEach}` : ''
    const names = `\`${key}\`<br>\`${toVariable(key)}\`<br>\`${toFlag(key)}\``
    return `| ${names} | ${cell(doc)} | ${cell(expects + each)} | ${defaultText(key)} |`
  })
  const codes = Object.values(exitCodes).map(({ code, meaning }) => `| ${code} | ${meaning} |`)
  return `# Configuration

A node is configured in four places. A later one replaces the whole value of an earlier one, lists included:

1. the defaults,
2. a TOML file in the platform's folder for configuration (\`qmesh-node config path\` prints where; \`--config FILE\` or
   \`QMESH_CONFIG\` name another one),
3. \`QMESH_…\` variables; the plain \`GPU_LAYERS\` is honoured too, and yields to \`QMESH_GPU_LAYERS\`,
4. flags of the command line.

\`qmesh-node config\` shows the values in force and where each came from; \`qmesh-node config init\` writes a file with
every key explained. An unknown key and a value out of bounds are errors that name the key, the place, what was
expected and what came: \`QM_CONFIG_INVALID\`, or \`QM_CONFIG_SYNTAX\` for a file that is not TOML.

A relative path starts at the folder of the file it is written in, and elsewhere at the folder where the command runs;
\`~\` is the home folder. In variables and flags the parts of a list are separated by commas, and a flag may be given
several times; paths of models are never split in flags. Switches are \`true\` or \`false\` in variables, and \`--mdns\` or
\`--no-mdns\` as flags. An empty variable counts as one that is not set.

In code, \`createNode\` and \`createClient\` take the same keys as options and read neither the file nor the variables;
\`const { config } = await loadConfig()\` reads both, for \`createNode({ ...config, … })\`.

## Keys

| key, variable, flag | what it is | must be | default |
| --- | --- | --- | --- |
${rows.join('\n')}

A model may be a table, to say more about it:

\`\`\`toml
port = 49737
bootstrap = ["192.168.1.5:49737"]

[[models]]
path = "~/models/smollm2-135m-instruct.gguf"
id = "smollm2"
contextTokens = 4096
slots = 4
\`\`\`

A node may offer more models than its memory holds. Give it a \`memoryBudget\`, or a model \`load = "demand"\`:

\`\`\`toml
memoryBudget = 16384

[[models]]
path = "~/models/chat.gguf"
pinned = true

[[models]]
path = "~/models/code.gguf"
load = "demand"
keepLoaded = 300
\`\`\`

- \`load\`: \`"start"\`, the default, loads it at the start as far as the budget goes; \`"demand"\` when a request waits for it.
- \`pinned\`: once it is loaded it stays.
- \`keepLoaded\`: seconds that it stays loaded at least, although another model needs its memory; 0 if left out.
- \`sha256\`: what the file must be. Another file is refused, and this one is not tried in a process of its own first.

What has nothing to do goes first, the least recently used of it. A model that works is given what waits for it at that
moment, and then makes room; whoever asks for it later waits until it is back. A model that would never fit beside the
pinned ones fails at the start, and says so. Without a budget and without \`load = "demand"\` every model is loaded at the
start and stays; what \`serveAll\` brings is loaded beside those when a request waits for it, within nine tenths of the
memory that is free when it comes. \`up\` ends with code 1 when none of the models that it was given can be loaded, so that
whoever starts it hears of it; with one of them it goes on and tries the others again. \`models = []\` runs a node without any.
With \`serveAll\` that one serves what it has. Models that can be loaded at the same time share the cores evenly; one that took more of
them when it was alone is loaded again with its share as soon as another is asked for.

## Other variables

| variable | what it does |
| --- | --- |
| \`QMESH_CONFIG\` | path of the configuration file |
| \`QMESH_DEBUG\` | set to anything: errors are printed with stack traces |
| \`QMESH_URL\` | where the gateway is, for the programs in [examples](examples/README.md); the node itself does not read it |
| \`GPU_LAYERS\` | like \`QMESH_GPU_LAYERS\`, which wins |
| \`OTEL_EXPORTER_OTLP_TRACES_ENDPOINT\` | like \`QMESH_TRACES_ENDPOINT\`, which wins |
| \`OTEL_EXPORTER_OTLP_ENDPOINT\` | the same without \`/v1/traces\` at its end; yields to both |

The last two are OpenTelemetry's, and may be meant for other programs: they are ignored where they are no addresses for HTTP,
with \`OTEL_SDK_DISABLED=true\`, with an \`OTEL_TRACES_EXPORTER\` other than \`otlp\`, and with \`grpc\` as the protocol.
[OPERATIONS.md](OPERATIONS.md#tracing) says what else is honoured.

## The data directory

| file | what it is |
| --- | --- |
| \`identity\` | the root seed of the node, from which every key is derived. Whoever has it is this node: mode 0600, refused otherwise. Back it up; it is never overwritten |
| \`lock\`, \`lock-guard\`, \`lock-owner.json\` | one node at a time; after a crash the next start takes the lock over |
| \`control.sock\` | the command line reaches a running node here; mode 0600. When the path is too long for a socket it lies in a folder of yours in the temporary directory, on Windows it is a named pipe |
| \`models/\` | the models that were fetched or added, unless \`modelsDir\` names another folder; see [MODELS.md](MODELS.md) |
| \`dht-nodes.json\` | peers seen last, so that a start works while a bootstrap is down; may be deleted |

The directory is created with mode 0700.

## Exit codes

| code | meaning |
| --- | --- |
${codes.join('\n')}
`
}
