import type { Config, ConfigInput } from './keys.ts'

/** Keys that only mean something with `engine = "openai"`, and what each of them is called. */
const engineKeys = ['engineUrl', 'engineModel', 'engineKey', 'engineSlots', 'engineContext'] as const

/**
 * What does not fit together about the engine, each in a sentence; empty when all does.
 */
export function checkEngine(config: Config): string[] {
  const { engine, engineUrl, engineModel, gateway, gatewayPort } = config
  if (engine === 'llama') {
    const idle = engineKeys.filter((key) => config[key] !== undefined)
    const names = idle.map((key) => `"${key}"`).join(', ')
    return idle.length === 0 ? [] : [`${names} would have no effect: set "engine" to "openai" too`]
  }
  const problems: string[] = []
  if (engineUrl === undefined) {
    problems.push(
      'with "engine" set to "openai", "engineUrl" must say where it is, as http://127.0.0.1:11434/v1',
    )
  }
  if (engineModel === undefined) {
    problems.push('with "engine" set to "openai", "engineModel" must name one of its models')
  }
  if (engineUrl !== undefined && gateway !== false && isOwn(engineUrl, gatewayPort)) {
    problems.push('"engineUrl" is the gateway of this very node, which would ask itself for ever')
  }
  return problems
}

/** The same configuration for a node that brings no engine of others. */
export function withoutEngine<Given extends ConfigInput>(given: Given): Given {
  const none = Object.fromEntries(engineKeys.map((key) => [key, undefined]))
  return { ...given, ...none, engine: 'llama' }
}

function isOwn(url: string, gatewayPort: number): boolean {
  const { hostname, port } = new URL(url)
  return Number(port) === gatewayPort && /^(?:127\.|localhost$|\[::1\]$)/.test(hostname)
}
