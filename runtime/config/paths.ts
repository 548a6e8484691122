import { homedir } from 'node:os'
import { isAbsolute, join, resolve } from 'node:path'
import envPaths from 'env-paths'
import { modelIdSchema } from '../../protocol/index.ts'

/** Where the platform keeps a program's files; `XDG_…` and `APPDATA` are honoured. */
const platformPaths = () => envPaths('qmesh', { suffix: '' })

export const defaultDataDir = (): string => platformPaths().data
export const defaultConfigFile = (): string => join(platformPaths().config, 'config.toml')

/** Makes a path a person wrote absolute: `~` is their home, anything relative starts at `baseDir`. */
export function toAbsolutePath(path: string, baseDir: string): string {
  if (path === '~') return homedir()
  if (/^~[/\\]/.test(path)) return join(homedir(), path.slice(2))
  return isAbsolute(path) ? path : resolve(baseDir, path)
}

/** A model is named by a path when it looks like one: a separator, a leading `~`, or the ending `.gguf`. */
export const isModelPath = (text: string): boolean => /[/\\]|^~|\.gguf$/i.test(text)

/** Whether a model can be called this; whether there is one is another question. */
export const isModelId = (text: string): boolean => modelIdSchema.safeParse(text).success
