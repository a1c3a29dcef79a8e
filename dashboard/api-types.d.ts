// Written by `python -m api.contract` from the OpenAPI document.

export interface AfterModel {
  minutes: number;
  move: number | null;
}

export interface AlertList {
  alerts: Array<AlertMessage>;
  count: number;
  silences: Array<SilenceModel>;
}

export interface AlertMessage {
  id: string;
  message_kind: "opened" | "escalated" | "repeated" | "acknowledged" | "resolved" | "digest" | "test";
  status: "pending" | "sent" | "failed";
  subject: string;
  made_at: string;
  sent_at: string | null;
  incident_id: string | null;
  anomaly_id: string | null;
  ticker: string | null;
  kind: string | null;
  severity: "low" | "medium" | "high" | "critical" | null;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify" | null;
  deliveries: Array<DeliveryModel>;
}

export interface AlertRoutes {
  routes: Array<RouteModel>;
  channels: Record<string, ChannelModel>;
  types: Record<string, ChannelType>;
}

export interface AlertRouting {
  routes: Array<RouteModel>;
  channels: Record<string, ChannelModel>;
}

export interface AnomalyModel {
  id: string;
  source: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  ticker: string;
  timestamp: string;
  date: string;
  kind: string;
  severity: "low" | "medium" | "high" | "critical";
  score: number;
  threshold: number;
  value: number | null;
  expected: number | null;
  tolerance: number | null;
  direction: "up" | "down" | "none";
  late: boolean;
  explanation: string;
  window: Record<string, any>;
}

export interface AnomalyPage {
  anomalies: Array<AnomalyModel>;
  count: number;
  next: string | null;
}

export interface BarList {
  ticker: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  since: string;
  until: string;
  closed_since: string | null;
  opens_at: string | null;
  bars: Array<BarModel>;
  count: number;
}

export interface BarModel {
  minute: string;
  open: number;
  high: number;
  low: number;
  close: number;
  volume: number | null;
  ticks: number;
  bid: number | null;
  ask: number | null;
  spread_low: number | null;
  spread_high: number | null;
}

export interface ChannelModel {
  type: string;
  settings?: Record<string, string>;
}

export interface ChannelType {
  settings: Record<string, string>;
  optional: Array<string>;
  secrets: Record<string, string>;
}

export interface DeliveryModel {
  channel: string;
  status: "pending" | "sending" | "sent" | "failed";
  attempts: number;
  sent_at: string | null;
  receipt: string | null;
  error: string | null;
  picture: string | null;
}

export interface Feed {
  state: "live" | "stale" | "missing" | "closed";
  last_quote_at: string | null;
  age_seconds: number | null;
  problem: string | null;
  live: number;
  total: number;
}

export interface FeedbackModel {
  anomaly_id: string;
  useful: boolean;
  by: string;
  at: string;
}

export interface FeedbackRequest {
  useful: boolean;
  anomaly_id?: string;
}

export interface Health {
  status: "healthy" | "degraded";
  source?: string | null;
  origin?: "live" | "simulated" | "replay" | "backfill" | "verify" | null;
  feed?: Feed | null;
  stream_lag_seconds?: number | null;
  failed_batches?: number | null;
}

export interface HoursRequest {
  from: string;
  until: string;
  weekday?: Array<"mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun"> | "mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun";
  time_zone?: string | null;
}

export interface IncidentAnomaly {
  id: string;
  ticker: string;
  kind: string;
  severity: "low" | "medium" | "high" | "critical";
  began_at: string;
  ended_at: string | null;
  explanation: string;
}

export interface IncidentContext {
  verdict: "company" | "sector-wide" | "market" | null;
  why: string;
  move: number | null;
  median: number | null;
  others: number;
  index: string;
  index_move: number | null;
  beta: number | null;
  residual: number | null;
  sector: string;
  sector_move: number | null;
  sentence: string;
}

export interface IncidentDetail {
  id: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  subject: string;
  state: "open" | "acknowledged" | "resolved";
  severity: "low" | "medium" | "high" | "critical";
  opened_at: string;
  last_at: string;
  resolved_at: string | null;
  acknowledged_by: string | null;
  acknowledged_until: string | null;
  late: boolean;
  anomaly_count: number;
  open_count: number;
  anomalies: Array<IncidentAnomaly>;
  tickers: Array<IncidentTicker>;
  context: IncidentContext | null;
  messages: Array<IncidentMessage>;
  unsent: "for_digest" | "kept_back" | null;
  feedback: Array<FeedbackModel>;
  after: Array<AfterModel>;
}

export interface IncidentList {
  incidents: Array<IncidentModel>;
  count: number;
}

export interface IncidentMessage {
  id: string;
  kind: "opened" | "escalated" | "repeated" | "acknowledged" | "resolved" | "digest" | "test";
  made_at: string;
  channels: Array<string>;
}

export interface IncidentModel {
  id: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  subject: string;
  state: "open" | "acknowledged" | "resolved";
  severity: "low" | "medium" | "high" | "critical";
  opened_at: string;
  last_at: string;
  resolved_at: string | null;
  acknowledged_by: string | null;
  acknowledged_until: string | null;
  late: boolean;
  anomaly_count: number;
  open_count: number;
  anomalies: Array<IncidentAnomaly>;
  tickers: Array<IncidentTicker>;
  context: IncidentContext | null;
  messages: Array<IncidentMessage>;
  unsent: "for_digest" | "kept_back" | null;
}

export interface IncidentTicker {
  ticker: string;
  first_at: string;
  severity: "low" | "medium" | "high" | "critical";
  move: number;
}

export interface Kind {
  kind: string;
  label: string;
  summary: string;
}

export interface KindList {
  kinds: Array<Kind>;
  count: number;
}

export interface LinkRequest {
  token: string;
}

export interface ProblemModel {
  type: string;
  title: string;
  status: number;
  detail: string;
  where?: string | null;
  allowed?: string | null;
}

export interface PublishedSchema {
  name: string;
  title: string;
  version: string;
  id: string;
  path: string;
}

export interface Removed {
  removed: string;
}

export interface RouteHours {
  from: string;
  until: string;
  weekday?: Array<"mon" | "tue" | "wed" | "thu" | "fri" | "sat" | "sun">;
  time_zone?: string | null;
}

export interface RouteModel {
  severity?: Array<"low" | "medium" | "high" | "critical">;
  ticker?: Array<string>;
  kind?: Array<"bad_tick" | "frozen_feed" | "gap" | "level_shift" | "price_spike" | "slow_drift" | "spread_blowout" | "vol_shift" | "volume_burst" | "rule">;
  origin?: Array<"live" | "simulated" | "replay" | "backfill" | "verify">;
  hours?: RouteHours | null;
  channels?: Array<string> | null;
  notify?: "at_once" | "digest" | "never" | null;
}

export interface RouteRequest {
  severity?: Array<"low" | "medium" | "high" | "critical"> | "low" | "medium" | "high" | "critical";
  ticker?: Array<string> | string;
  kind?: Array<"bad_tick" | "frozen_feed" | "gap" | "level_shift" | "price_spike" | "slow_drift" | "spread_blowout" | "vol_shift" | "volume_burst" | "rule"> | "bad_tick" | "frozen_feed" | "gap" | "level_shift" | "price_spike" | "slow_drift" | "spread_blowout" | "vol_shift" | "volume_burst" | "rule";
  origin?: Array<"live" | "simulated" | "replay" | "backfill" | "verify"> | "live" | "simulated" | "replay" | "backfill" | "verify";
  hours?: HoursRequest | null;
  channels?: Array<string> | string | null;
  notify?: "at_once" | "digest" | "never" | null;
}

export interface RoutingChange {
  routes: Array<RouteModel>;
  channels: Record<string, ChannelModel>;
  before: AlertRouting;
  by: string;
  at: string;
}

export interface RoutingRequest {
  routes?: Array<RouteRequest> | null;
  channels?: Record<string, ChannelModel> | null;
}

export interface RuleList {
  rules: Array<RuleModel>;
  count: number;
}

export interface RuleModel {
  id: string;
  when: "above" | "below" | "moves" | "spread" | "volume";
  value: number;
  ticker?: string | "";
  minutes?: number;
  repeat?: "once" | "daily" | "always";
  hysteresis?: number;
  severity?: "low" | "medium" | "high" | "critical";
}

export interface Safety {
  ticker: string;
  safe: boolean;
  reasons: Array<SafetyReason>;
  source: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  as_of: string;
  quote: Ticker;
}

export interface SafetyReason {
  code: "market_closed" | "no_quote" | "stale_quote" | "doubtful_quotes" | "feed_stalled" | "critical_incident" | "monitor_unreachable";
  detail: string;
  incident_id: string | null;
}

export interface SchemaList {
  schemas: Array<PublishedSchema>;
  count: number;
}

export interface SilenceModel {
  ticker: string | null;
  kind: string | null;
  until: string;
  acknowledged: string | null;
  reason: string;
  by: string;
}

export interface SilenceRequest {
  until: string;
  reason?: string;
}

export interface Stats {
  date: string | null;
  by_severity: Record<string, number>;
  total: number;
  complete: boolean;
}

export interface TestRequested {
  id: string;
  by: string;
}

export interface ThresholdChange {
  default: number;
  kinds: Record<string, number>;
  tickers: Record<string, number | Record<string, number>>;
  by: string;
  at: string;
}

export interface ThresholdRequest {
  value: number | null;
  ticker?: string | "";
  kind?: "" | "bad_tick" | "frozen_feed" | "gap" | "level_shift" | "price_spike" | "slow_drift" | "spread_blowout" | "vol_shift" | "volume_burst";
}

export interface Thresholds {
  default: number;
  kinds: Record<string, number>;
  tickers: Record<string, number | Record<string, number>>;
}

export interface Ticker {
  ticker: string;
  state: "live" | "stale" | "closed" | "missing";
  market: string;
  open: boolean;
  ts: string | null;
  age_seconds: number | null;
  price: number | null;
  bid: number | null;
  ask: number | null;
  day_volume: number | null;
  reference: number | null;
  reference_kind: "previous_close" | "open" | null;
  change: number | null;
  change_percent: number | null;
}

export interface TickerList {
  source: string;
  origin: "live" | "simulated" | "replay" | "backfill" | "verify";
  as_of: string;
  feed: Feed;
  tickers: Array<Ticker>;
  count: number;
  offset: number;
  next: number | null;
}

export interface WatchListChange {
  tickers: Array<string>;
  added: Array<string>;
  removed: Array<string>;
  by: string;
  at: string;
}

export interface WatchListRequest {
  tickers: Array<string>;
  unchecked?: boolean;
}
