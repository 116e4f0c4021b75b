# frozen_string_literal: true

# Visits in Active Record, through Tidegate: each is written, then read at once on another connection.

require 'active_record'

ROUNDS = 20
# How long to wait for replicas to be up to date, in seconds.
PATIENCE = 20

# What a Rails app has in config/database.yml. Both roles lead to the same address; the second one makes blocks of
# connected_to(role: :reading) work as before, and they still refuse to write.
url = ENV.fetch('DATABASE_URL')
ActiveRecord::Base.configurations = {
  'default_env' => { 'primary' => { 'url' => url }, 'primary_replica' => { 'url' => url, 'replica' => true } }
}

# What all models have in common, as Rails writes it.
class ApplicationRecord < ActiveRecord::Base
  self.abstract_class = true
  connects_to database: { writing: :primary, reading: :primary_replica }
end

# Somebody was here.
class Visit < ApplicationRecord
end

# What `rails db:migrate` runs, with the advisory lock that it takes.
class CreateVisits < ActiveRecord::Migration[6.1]
  def change
    create_table(:visits) do |table|
      table.string :page
      table.timestamps
    end
  end
end

def migrate
  ActiveRecord::Migration.verbose = false
  # The migrations of an app are files; this one is here.
  migrations = [ActiveRecord::MigrationProxy.new('CreateVisits', 20_260_101_000_000, __FILE__, nil)]
  migrations.first.define_singleton_method(:migration) { CreateVisits.new(name, version) }
  ActiveRecord::Base.establish_connection(:primary)
  ActiveRecord::Migrator.new(:up, migrations, ActiveRecord::SchemaMigration).migrate
end

# Where the last statement of this connection went, and why.
def route
  ApplicationRecord.connection.select_value('SHOW tidegate.last_route')
rescue ActiveRecord::StatementInvalid => e
  raise unless e.cause.is_a?(PG::UndefinedObject)

  'to: PostgreSQL itself, no Tidegate here'
end

# `replica` or `primary`, out of `to: replica pg2:5432, reason fresh`.
def role(said)
  said.split[1]
end

# Whether a page was visited, and where that was read: on the connection of the other role, which may only read.
def find(page)
  ActiveRecord::Base.connected_to(role: :reading) { [Visit.find_by(page: page), route] }
end

def write_and_read
  stale = 0
  at = Hash.new(0)
  ROUNDS.times do |number|
    page = "/#{Process.pid}/#{number}"
    Visit.create!(page: page)
    visit, said = find(page)
    stale += 1 if visit.nil?
    at[role(said)] += 1
  end
  [stale, at]
end

def read_later
  at = Hash.new(0)
  deadline = Process.clock_gettime(Process::CLOCK_MONOTONIC) + PATIENCE
  said = nil
  while at['replica'] < ROUNDS && at['PostgreSQL'] < ROUNDS &&
        Process.clock_gettime(Process::CLOCK_MONOTONIC) < deadline
    _, said = find("/#{Process.pid}/0")
    at[role(said)] += 1
    sleep 0.01
  end
  [at, said]
end

# A report that may be old says so by a comment, which Active Record puts behind the statement.
def report
  Visit.annotate('tidegate: consistency=eventual').count
  route
end

# Whether a block that reads may write: Active Record itself keeps it from that, before anything is sent.
def write_in_reading_role
  ActiveRecord::Base.connected_to(role: :reading) { Visit.create!(page: '/') }
  'done'
rescue ActiveRecord::ReadOnlyError
  'refused by Active Record'
end

def in_transaction
  Visit.transaction do
    Visit.first
    route
  end
end

migrate
stale, at_once = write_and_read
later, said = read_later

puts "#{ROUNDS} visits, each read at once on another connection: #{stale} not seen"
puts "those reads: primary #{at_once['primary']}, replica #{at_once['replica']}"
puts "reads while nobody writes: primary #{later['primary']}, replica #{later['replica']}"
puts "the last of them: #{said}"
puts "an annotated report: #{report}"
puts "a write in the reading role: #{write_in_reading_role}"
puts "a read in a transaction: #{in_transaction}"
exit 1 if stale.positive?
