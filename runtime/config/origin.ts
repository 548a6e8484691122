import { toFlag, toVariable, type ConfigKey } from './keys.ts'

/** Where a value came from, so that an error and `qmesh-node config` can say it. */
export type Origin =
  | { readonly kind: 'default' }
  | { readonly kind: 'file'; readonly path: string; readonly line?: number }
  | { readonly kind: 'variable'; readonly name: string }
  | { readonly kind: 'flag'; readonly name: string }
  /** An option given to `createNode` or `createClient`. */
  | { readonly kind: 'option' }

/** `config.toml:3`, `QMESH_PORT`, `--port`: short enough for a column. */
export function describeOrigin(origin: Origin): string {
  switch (origin.kind) {
    case 'file':
      return origin.line === undefined ? origin.path : `${origin.path}:${origin.line}`
    case 'variable':
    case 'flag':
      return origin.name
    default:
      return origin.kind
  }
}

export const variableOrigin = (name: ConfigKey): Origin => ({ kind: 'variable', name: toVariable(name) })
export const flagOrigin = (name: ConfigKey): Origin => ({ kind: 'flag', name: toFlag(name) })
