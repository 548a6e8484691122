import type { Engine, ModelSpec } from './engine.port.ts'

/**
 * Two engines as one: models that another program runs go to `remote`, files to `local`.
 */
export function joinEngines(local: Engine, remote: Engine): Engine {
  const of = ({ remoteName }: ModelSpec): Engine => (remoteName === undefined ? local : remote)
  return {
    load: (spec, options) => of(spec).load(spec, options),
    survey: (spec, options) => {
      const engine = of(spec)
      return engine.survey
        ? engine.survey(spec, options)
        : Promise.reject(new Error('an engine that cannot look at models'))
    },
  }
}
