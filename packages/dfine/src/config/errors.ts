/** A configuration that cannot be used; the message names the key, both facts and the remedy. */
export class ConfigError extends Error {
  override readonly name = "ConfigError";
}
