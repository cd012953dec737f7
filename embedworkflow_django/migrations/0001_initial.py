import django.db.models.deletion
import django.utils.timezone
import embedworkflow_django.fields
import embedworkflow_django.keys
from django.db import migrations, models


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        migrations.CreateModel(
            name='Execution',
            fields=[
                ('id', models.UUIDField(default=embedworkflow_django.keys.uuid7, editable=False, primary_key=True, serialize=False, verbose_name='id')),
                ('account', embedworkflow_django.fields.ExactCharField(default='default', max_length=100, verbose_name='account')),
                ('workflow', models.CharField(help_text='The identifier as given.', max_length=255, verbose_name='workflow')),
                ('id_type', models.CharField(default='key', help_text='How the API reads it.', max_length=20, verbose_name='id type')),
                ('user_key', models.CharField(blank=True, help_text='The end user on whose behalf the workflow runs.', max_length=255, verbose_name='user key')),
                ('execution_data', models.JSONField(default=dict, verbose_name='execution data')),
                ('idempotency_key', embedworkflow_django.fields.ExactCharField(blank=True, help_text='Given by the caller; otherwise the id serves.', max_length=255, null=True, verbose_name='idempotency key')),
                ('trigger', models.CharField(blank=True, max_length=255, verbose_name='trigger')),
                ('source_type', models.CharField(blank=True, max_length=200, verbose_name='source type')),
                ('source_id', embedworkflow_django.fields.ExactCharField(blank=True, max_length=255, verbose_name='source id')),
                ('run_at', models.DateTimeField(blank=True, null=True, verbose_name='run at')),
                ('status', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('upcoming', 'upcoming'), ('completed', 'completed'), ('failed', 'failed'), ('stopped', 'stopped'), ('deleted', 'deleted'), ('undeliverable', 'undeliverable'), ('unconfirmed', 'unconfirmed'), ('canceled', 'canceled'), ('unknown', 'unknown')], default='queued', max_length=20, verbose_name='status')),
                ('due_at', models.DateTimeField(default=django.utils.timezone.now, null=True, verbose_name='due at')),
                ('attempts', models.PositiveIntegerField(default=0, help_text='Deliveries that had a verdict.', verbose_name='attempts')),
                ('polls', models.PositiveIntegerField(default=0, help_text='Answers in a row in which nothing had moved.', verbose_name='polls')),
                ('misses', models.PositiveSmallIntegerField(default=0, help_text='Times in a row that the API did not know it.', verbose_name='misses')),
                ('claim', models.CharField(blank=True, max_length=32, verbose_name='claim')),
                ('last_error', models.TextField(blank=True, verbose_name='last error')),
                ('stop_requested_at', models.DateTimeField(blank=True, null=True, verbose_name='stop requested at')),
                ('created_at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='created at')),
                ('sent_at', models.DateTimeField(blank=True, help_text='The first delivery that may have been received.', null=True, verbose_name='sent at')),
                ('dispatched_at', models.DateTimeField(blank=True, null=True, verbose_name='dispatched at')),
                ('synced_at', models.DateTimeField(blank=True, null=True, verbose_name='synced at')),
                ('finished_at', models.DateTimeField(blank=True, null=True, verbose_name='finished at')),
                ('announced_at', models.DateTimeField(blank=True, null=True, verbose_name='announced at')),
                ('remote_id', embedworkflow_django.fields.ExactCharField(blank=True, max_length=64, null=True, verbose_name='remote id')),
                ('hashid', models.CharField(blank=True, max_length=64, verbose_name='hashid')),
                ('key', models.CharField(blank=True, max_length=255, verbose_name='key')),
                ('name', models.CharField(blank=True, max_length=255, verbose_name='name')),
                ('remote_status', models.CharField(blank=True, max_length=64, verbose_name='remote status')),
                ('actions_count', models.PositiveIntegerField(default=0, verbose_name='actions')),
                ('idle_actions_count', models.PositiveIntegerField(default=0, verbose_name='idle actions')),
                ('running_actions_count', models.PositiveIntegerField(default=0, verbose_name='running actions')),
                ('completed_actions_count', models.PositiveIntegerField(default=0, verbose_name='completed actions')),
                ('failed_actions_count', models.PositiveIntegerField(default=0, verbose_name='failed actions')),
                ('stopped_actions_count', models.PositiveIntegerField(default=0, verbose_name='stopped actions')),
                ('log', models.JSONField(blank=True, null=True, verbose_name='log')),
                ('stats', models.JSONField(blank=True, null=True, verbose_name='stats')),
                ('template', models.JSONField(blank=True, null=True, verbose_name='template')),
                ('remote_created_at', models.DateTimeField(blank=True, null=True, verbose_name='remote created at')),
                ('raw', models.JSONField(blank=True, help_text='Properties that have no column.', null=True, verbose_name='raw')),
                ('run_again_of', models.ForeignKey(blank=True, db_index=False, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='run_again_as', to='embedworkflow.execution', verbose_name='run again of')),
            ],
            options={
                'verbose_name': 'execution',
                'verbose_name_plural': 'executions',
                'ordering': ('-id',),
                'permissions': (('view_execution_data', 'Can see execution data unredacted'), ('execute_execution', 'Can start a workflow'), ('refresh_execution', 'Can refresh executions'), ('run_again_execution', 'Can run executions again'), ('cancel_execution', 'Can cancel queued executions'), ('stop_execution', 'Can stop running executions'), ('resolve_execution', 'Can resolve unconfirmed executions')),
            },
        ),
        migrations.CreateModel(
            name='ExecutionEvent',
            fields=[
                ('id', models.BigAutoField(primary_key=True, serialize=False, verbose_name='id')),
                ('at', models.DateTimeField(default=django.utils.timezone.now, verbose_name='at')),
                ('status', models.CharField(choices=[('queued', 'queued'), ('running', 'running'), ('upcoming', 'upcoming'), ('completed', 'completed'), ('failed', 'failed'), ('stopped', 'stopped'), ('deleted', 'deleted'), ('undeliverable', 'undeliverable'), ('unconfirmed', 'unconfirmed'), ('canceled', 'canceled'), ('unknown', 'unknown')], max_length=20, verbose_name='status')),
                ('source', models.CharField(choices=[('delivery', 'delivery'), ('poll', 'poll'), ('callback', 'callback'), ('person', 'person')], max_length=20, verbose_name='source')),
                ('detail', models.JSONField(blank=True, default=dict, verbose_name='detail')),
                ('execution', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='events', to='embedworkflow.execution', verbose_name='execution')),
            ],
            options={
                'verbose_name': 'execution event',
                'verbose_name_plural': 'execution events',
                'ordering': ('id',),
            },
        ),
        migrations.AddIndex(
            model_name='execution',
            index=embedworkflow_django.fields.PartialIndex(fields=['due_at'], name='ewf_execution_due'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(fields=['status', '-id'], name='ewf_execution_status'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(fields=['workflow', '-id'], name='ewf_execution_workflow'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=models.Index(fields=['source_type', 'source_id', '-id'], name='ewf_execution_source'),
        ),
        migrations.AddIndex(
            model_name='execution',
            index=embedworkflow_django.fields.PartialIndex(fields=['run_again_of'], name='ewf_execution_run_again'),
        ),
        migrations.AddConstraint(
            model_name='execution',
            constraint=models.UniqueConstraint(fields=('idempotency_key', 'account'), name='ewf_execution_one_per_key'),
        ),
        migrations.AddConstraint(
            model_name='execution',
            constraint=models.UniqueConstraint(fields=('remote_id', 'account'), name='ewf_execution_one_per_remote'),
        ),
        migrations.AddIndex(
            model_name='executionevent',
            index=models.Index(fields=['execution', 'id'], name='ewf_event_execution'),
        ),
    ]
